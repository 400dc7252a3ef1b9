import threading
import time

import jax
import numpy as np
import pytest

from jaxdet.training import compilation, sharding
from jaxdet.training.compilation import compile_steps
from jaxdet.training.progress import Progress
from jaxdet.training.step import make_train_step
from tests import xla
from tests.training import toy


def compiled(sides, *, train_step=None, name="toy"):
    mesh = sharding.data_mesh()
    tx, schedule = toy.optimizer()
    state = toy.fresh_state(tx, mesh)
    progress = Progress(name, start=0, steps=20)
    train_step = train_step or make_train_step(toy.loss, tx, mesh)
    batches = [toy.batch_shapes(side) for side in sides]
    try:
        return compile_steps(train_step, state, batches, schedule(0), accumulate=1, progress=progress), state, schedule
    finally:
        progress.close()


def test_every_image_size_is_compiled_with_a_line_and_a_step_compiles_nothing(capsys):
    programs, state, schedule = compiled([4, 6])
    assert programs.keys() == {(4, 4), (6, 6)}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: compiling for images of 4x4, 6x6"
    for size in ("4x4", "6x6"):
        (line,) = [line for line in lines if f"toy: compiled for images of {size} in " in line]
        assert line.endswith(" GB")
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: events.append(event))
    state, metrics = programs[4, 4](state, sharding.shard_batch(toy.batch(1), sharding.data_mesh()), schedule(0))
    assert np.isfinite(metrics["loss"]) and int(state.step) == 1
    assert not [event for event in events if "compile" in event]


class Slow:
    """A train step whose compilation waits until all of `count` are under way, so that one after the other fails."""

    def __init__(self, count):
        self._barrier, self.order = threading.Barrier(count), []

    def lower(self, state, batch, hyperparameters):
        self.order.append(batch.image.shape[1])
        return self

    def compile(self):
        self._barrier.wait(timeout=60)
        return self

    def memory_analysis(self):
        return None


def test_programs_are_compiled_side_by_side_in_as_many_threads_as_cores(monkeypatch):
    monkeypatch.setattr(compilation, "_cores", lambda: 3)
    assert len(compiled([4, 5, 6], train_step=Slow(3))[0]) == 3


def test_several_processes_compile_one_after_the_other_in_the_same_order(monkeypatch):
    monkeypatch.setattr(compilation, "_cores", lambda: 3)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    slow = Slow(1)
    compiled([6, 4, 5], train_step=slow)
    assert slow.order == [6, 4, 5]


def test_a_failed_compilation_is_raised():
    class Failing(Slow):
        def compile(self):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 20 GB")

    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        compiled([4], train_step=Failing(1))


def test_a_long_compilation_is_not_silent(monkeypatch, caplog):
    class Sleeping(Slow):
        def compile(self):
            time.sleep(0.2)
            return self

    caplog.set_level("INFO")
    monkeypatch.setattr("jaxdet.io.progress.FIRST_LINE", 0.05)
    compiled([4], train_step=Sleeping(1))
    assert caplog.messages == ["toy: compiling (0 s)"]


def test_a_program_from_the_cache_is_named_so(capsys, tmp_path):
    with xla.cached(tmp_path):
        compiled([4])
        compiled([4])  # a new function, which jax has not compiled
    printed = capsys.readouterr().out
    assert printed.count("toy: compiled for images of 4x4") == 1
    assert printed.count("toy: read from the cache for images of 4x4") == 1
