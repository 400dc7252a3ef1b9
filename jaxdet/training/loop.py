"""The loop that runs any stage: steps, figures, validation, checkpoints, and leaving in good order."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import jax

from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.metrics_writer import MetricsWriter
from jaxdet.training.preemption import Interrupted, StopRequest, stop_request
from jaxdet.training.progress import Progress
from jaxdet.training.recorder import Recorder
from jaxdet.training.state import TrainState, params
from jaxdet.training.transfer import Stage
from jaxdet.types import Batch, Metrics, Params

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Evaluate = Callable[[Params, int], dict[str, float]]


def run(
    stage: Stage,
    state: TrainState,
    train_step: TrainStep,
    batches: Callable[[int], Iterator[Batch]],
    *,
    put: Callable[[Batch], Batch],
    workdir: str | os.PathLike,
    image_names: Sequence[str],
    evaluate: Evaluate | None,
    log_every: int,
    eval_every: int,
    checkpoint_every: int,
    keep: int,
) -> TrainState:
    """Trains a stage to its last step, from its newest checkpoint in `workdir` if there is one; returns the last state.

    A run interrupted at any moment and started again ends with the same parameters, and the same metrics.jsonl but for
    times, as one never interrupted, if `batches` and `train_step` depend on nothing but step and state.

    Args:
      state: the fresh state, placed on the mesh; donated, so use it no more.
      train_step: made by step.make_train_step.
      batches: finished steps -> the host batches of all steps after them.
      put: host batch -> batch on the devices.
      workdir: the stage's own folder; the caller holds its lock.
      image_names: the name of each image_id, for errors.
      evaluate: (parameters, step) -> figures of the validation split, "val_map" among them, every `eval_every` steps
        and after the last; the checkpoint of best val_map is kept. None for never.
      keep: how many of the newest checkpoints stay.

    Raises:
      InputError: where the workdir is not writable or too small, or holds checkpoints of something else.
      TrainingError: at the first step with a figure that is not finite.
      SystemExit: 128 + signal, after SIGTERM or Ctrl-C, once everything is saved.
    """
    checkpoints = Checkpoints(workdir, keep=keep)
    checkpoints.check_space(state)
    fresh, saved = state, {}
    if restored := checkpoints.restore(fresh):
        state, saved = restored
        for leaf in jax.tree.leaves(fresh):  # the caller may still hold it, and memory is short
            leaf.delete()
    start = int(state.step)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(contextlib.closing(MetricsWriter(workdir, stage=stage.name, start=start)))
        progress = stack.enter_context(contextlib.closing(Progress(stage.name, start=start, steps=stage.steps)))
        if start:
            progress.say(f"{stage.name}: going on from the checkpoint of step {start}")
        recorder = Recorder(
            writer,
            progress,
            log_every=log_every,
            learning_rate=stage.learning_rate,
            image_names=image_names,
            window=saved.get("window", {}),
        )
        stop = stack.enter_context(stop_request())
        loop = _Loop(stage, checkpoints, writer, progress, recorder, stop, evaluate)
        if evaluate is not None and saved.get("evaluation_due"):
            loop.finish_step(state, start, evaluation=True, checkpoint=True)
        if start == stage.steps:
            return state
        stream = stack.enter_context(contextlib.closing(batches(start)))  # ends its threads
        for step in range(start + 1, stage.steps + 1):
            batch = next(stream)
            state = loop.train(train_step, state, step, batch, put(batch))
            last = step == stage.steps
            loop.finish_step(
                state,
                step,
                evaluation=evaluate is not None and (last or step % eval_every == 0),
                checkpoint=last or step % checkpoint_every == 0,
            )
    return state


class _Loop:
    def __init__(self, stage, checkpoints, writer, progress, recorder, stop: StopRequest, evaluate: Evaluate | None):
        self.stage, self.checkpoints, self.writer, self.progress = stage, checkpoints, writer, progress
        self.recorder, self.stop, self.evaluate = recorder, stop, evaluate

    def train(self, train_step, state: TrainState, step: int, batch: Batch, on_device: Batch) -> TrainState:
        """Hands a step to the device and says so when it had to be compiled."""
        compiled, began = train_step._cache_size(), time.monotonic()
        state, metrics = train_step(state, on_device)
        if train_step._cache_size() > compiled:
            seconds = time.monotonic() - began
            height, width = batch.image.shape[1:3]
            self.progress.say(f"{self.stage.name}: compiled for images of {height}x{width} in {seconds:.1f} s")
            self.recorder.exclude(seconds)
        self.recorder.add(step, batch.image_id, metrics)
        return state

    def finish_step(self, state: TrainState, step: int, *, evaluation: bool, checkpoint: bool) -> None:
        """Validates, saves and stops, whichever is due; a validation broken off is due again after the restart."""
        signalled = self.stop.received(step)
        if not (evaluation or checkpoint or signalled):
            return
        self.recorder.fetch()  # nothing that is not finite gets saved
        began = time.monotonic()
        metadata = {"window": self.recorder.window()}
        if evaluation and not signalled:
            score, signalled = self._validate(state, step)
            best = self.checkpoints.best()
            checkpoint |= score is not None and (best is None or score > best)
            metadata["val_map"] = score
        if checkpoint or signalled:
            metadata["evaluation_due"] = evaluation and signalled is not None
            self.checkpoints.save(state, metadata)
        self.recorder.exclude(time.monotonic() - began)
        if signalled:
            name = signal.Signals(signalled).name
            self.progress.say(f"{self.stage.name}: stopped by {name}, step {step} saved; start again to go on")
            raise SystemExit(128 + signalled)

    def _validate(self, state: TrainState, step: int) -> tuple[float | None, int | None]:
        """Gives the mAP, None where it is not finite, or the signal that broke the validation off."""
        try:
            with self.stop.interruptible():
                figures = self.evaluate(params(state), step)
        except Interrupted:
            return None, self.stop.received(step)
        self.writer.write(step, "val", figures)
        text = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.progress.say(f"{self.stage.name} {step}/{self.stage.steps}  validation: {text}")
        return (figures["val_map"] if math.isfinite(figures["val_map"]) else None), None
