"""Compilation of the train step for every image size of a stage, before its first step.

The programs are compiled side by side: XLA releases Python's lock. The threads are daemons, since nothing can stop a
compilation; cli.app ends the process without waiting for them.
"""

import functools
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jaxdet.io.progress import waiting
from jaxdet.training.device_memory import gigabytes, memory_warning, needed_bytes
from jaxdet.training.optimizer import Hyperparameters
from jaxdet.training.progress import Progress
from jaxdet.training.state import TrainState
from jaxdet.training.step import TrainStep
from jaxdet.types import Batch

ImageSize = tuple[int, int]  # height, width of the images of a batch
CACHE_HIT = "/jax/compilation_cache/cache_hits"  # jax's event for a program that was read from the cache

_this_thread = threading.local()


class _Result(NamedTuple):
    batch: Batch
    program: Any  # jax.stages.Compiled, or the exception that was raised instead
    seconds: float
    from_cache: bool


def compile_steps(
    train_step: Any,
    state: TrainState,
    batches: Sequence[Batch],
    hyperparameters: Hyperparameters,
    *,
    accumulate: int,
    progress: Progress,
) -> dict[ImageSize, TrainStep]:
    """Return the compiled step of each image size; show how long each took and how much memory it needs.

    There are as many threads as cores. Several processes compile one program after the other, in the same order.

    Args:
      train_step: the result of step.make_train_step.
      state, hyperparameters: only shapes, dtypes and shardings are used.
      batches: shapes of the global batches, as jax.ShapeDtypeStruct, one for each image size.
      accumulate: parts that a batch is computed in.

    Raises:
      Exception: the first that a compilation raised, as where the device's memory is too small.
    """
    jobs: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
    progress.say(f"{progress.name}: compiling for images of {_text([image_size(batch) for batch in batches])}")
    _watch_cache()
    for batch in batches:
        jobs.put(batch)

    def lower(batch: Batch) -> Any:
        return train_step.lower(state, batch, hyperparameters)

    for _ in range(1 if jax.process_count() > 1 else min(_cores(), len(batches))):
        threading.Thread(target=_work, args=(jobs, results, lower), name="compile", daemon=True).start()

    programs = dict[ImageSize, TrainStep]()
    with waiting(f"{progress.name}: compiling"):
        while len(programs) < len(batches):
            try:
                result = results.get(timeout=0.5)  # wakes up for Ctrl-C
            except queue.Empty:
                continue
            if isinstance(result.program, Exception):
                raise result.program
            programs[image_size(result.batch)] = result.program
            _report(result, progress)
            if warning := memory_warning(result.program, state, batch=result.batch, accumulate=accumulate):
                progress.say(f"{progress.name}: {warning}")
    return programs


def _work(jobs: queue.SimpleQueue, results: queue.SimpleQueue, lower: Callable[[Batch], Any]) -> None:
    """Compile until there are no more jobs."""
    while True:
        try:
            batch = jobs.get_nowait()
        except queue.Empty:
            return
        before, _this_thread.from_cache = time.monotonic(), False
        try:
            program = lower(batch).compile()
        except Exception as error:
            program = error
        results.put(_Result(batch, program, time.monotonic() - before, _this_thread.from_cache))


def _report(result: _Result, progress: Progress) -> None:
    how = "read from the cache" if result.from_cache else "compiled"
    needed = needed_bytes(result.program)
    memory = "" if needed is None else f"; a step needs {gigabytes(needed)}"
    size = _text([image_size(result.batch)])
    progress.say(f"{progress.name}: {how} for images of {size} in {result.seconds:.1f} s{memory}")


def image_size(batch: Batch) -> ImageSize:
    """Return height and width of a batch's images."""
    height, width = batch.image.shape[1:3]
    return height, width


def _text(sizes: Sequence[ImageSize]) -> str:
    return ", ".join(f"{height}x{width}" for height, width in sizes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache  # once per process: listeners stay
def _watch_cache() -> None:
    jax.monitoring.register_event_listener(_note_event)


def _note_event(event: str, **_: Any) -> None:
    if event == CACHE_HIT:
        _this_thread.from_cache = True
