import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.training.recorder import Recorder, TrainingError


class Log:
    """Stands for writer and progress."""

    steps = 100

    def __init__(self):
        self.lines = []

    def write(self, step, split, figures, **times):
        self.lines.append((step, split, figures))

    def report(self, *figures):
        pass

    def step(self, step):
        pass


def recorder(log, window=None):
    names = [f"photo{i}" for i in range(20)]
    return Recorder(log, log, log_every=3, learning_rate=lambda step: 0.1, image_names=names, window=window or {})


def feed(made, steps, bad=None):
    for step in steps:
        value = np.nan if step == bad else step
        made.add(step, np.array([step, step + 1]), {"loss": jnp.asarray(value, jnp.float32)})


def test_means_of_windows_are_written_a_step_late():
    log = Log()
    made = recorder(log)
    feed(made, range(1, 4))
    assert log.lines == []
    feed(made, [4])
    assert log.lines == [(3, "train", {"loss": 2.0, "learning_rate": 0.1})]
    feed(made, [5, 6])
    made.fetch()
    assert log.lines[1:] == [(6, "train", {"loss": 5.0, "learning_rate": 0.1})]


class Figure(float):
    """One of a step's figures, that notes when somebody waits for it."""

    waited = ()

    def block_until_ready(self):
        Figure.waited += (int(self),)
        return self


def test_the_host_is_two_steps_ahead_of_the_device_at_most():
    made = Recorder(Log(), Log(), log_every=100, learning_rate=lambda step: 0.1, image_names=["photo"], window={})
    for step in range(2, 7):  # step 1 is followed by a fetch
        made.add(step, np.array([0]), {"loss": Figure(step)})
    assert Figure.waited == (2, 3, 4)


def test_the_last_steps_are_written_though_they_fill_no_window():
    log = Log()
    log.steps = 5
    made = recorder(log)
    feed(made, range(1, 6))
    made.fetch()
    assert log.lines == [
        (3, "train", {"loss": 2.0, "learning_rate": 0.1}),
        (5, "train", {"loss": 4.5, "learning_rate": 0.1}),
    ]


def test_a_window_goes_on_after_a_restart():
    first, second = Log(), Log()
    made = recorder(first)
    feed(made, range(1, 6))
    made.fetch()
    feed(recorder(second, made.window()), [6, 7])
    assert second.lines == [(6, "train", {"loss": 5.0, "learning_rate": 0.1})]


def test_first_bad_step_and_its_images_are_named():
    log = Log()
    made = recorder(log)
    with pytest.raises(TrainingError, match=r"loss is nan at step 5 \(images photo5, photo6; learning rate 0.1\)"):
        feed(made, range(1, 20), bad=5)
    assert len(log.lines) == 1
