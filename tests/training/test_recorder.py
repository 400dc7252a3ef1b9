import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.training.optimizer import Hyperparameters
from jaxdet.training.recorder import Recorder, TrainingError


class Log:
    """Stand-in for writer and progress."""

    steps = 100

    def __init__(self):
        self.lines, self.reports = [], []

    def write(self, step, split, metrics, **times):
        self.lines.append((step, split, metrics))

    def report(self, step, metrics, images_per_second, seconds_left):
        self.reports.append((step, seconds_left is not None))

    def step(self, step):
        pass

    def estimate(self, step, seconds_left):
        self.estimated = step


def make_recorder(log, window=None, log_every=3):
    names = [f"image{i}" for i in range(20)]
    return Recorder(
        log,
        log,
        log_every=log_every,
        schedule=lambda step: Hyperparameters(np.float32(0.1), np.float32(0)),
        image_names=names,
        window=window or {},
    )


def feed(recorder, steps, bad=None):
    for step in steps:
        value = np.nan if step == bad else step
        recorder.add(step, np.array([step, step + 1]), {"loss": jnp.asarray(value, jnp.float32)})


def test_the_mean_of_a_window_is_written_one_step_late():
    log = Log()
    recorder = make_recorder(log)
    feed(recorder, range(1, 4))
    assert log.lines == []
    feed(recorder, [4])
    assert log.lines == [(3, "train", {"loss": 2.0, "learning_rate": 0.1})]
    feed(recorder, [5, 6])
    recorder.fetch()
    assert log.lines[1:] == [(6, "train", {"loss": 5.0, "learning_rate": 0.1})]


@pytest.mark.parametrize(
    ("log_every", "reports"),
    [(1, [(11, False), (12, False), (13, True), (14, True)]), (2, [(12, False), (14, True)]), (3, [(12, False)])],
)
def test_the_time_left_is_reported_from_the_third_step_of_a_process(log_every, reports):
    log = Log()
    feed(make_recorder(log, log_every=log_every), range(11, 16))  # a resumed run
    assert log.reports == reports


class Metric(float):
    """Metric of a step that records when somebody waits for it."""

    waited = ()

    def block_until_ready(self):
        Metric.waited += (int(self),)
        return self


def test_the_host_is_at_most_two_steps_ahead_of_the_device():
    recorder = Recorder(
        Log(),
        Log(),
        log_every=100,
        schedule=lambda step: Hyperparameters(np.float32(0.1), np.float32(0)),
        image_names=["image"],
        window={},
    )
    for step in range(2, 7):  # step 1 would cause a fetch
        recorder.add(step, np.array([0]), {"loss": Metric(step)})
    assert Metric.waited == (2, 3, 4)


def test_the_last_steps_are_written_though_their_window_is_incomplete():
    log = Log()
    log.steps = 5
    recorder = make_recorder(log)
    feed(recorder, range(1, 6))
    recorder.fetch()
    assert log.lines == [
        (3, "train", {"loss": 2.0, "learning_rate": 0.1}),
        (5, "train", {"loss": 4.5, "learning_rate": 0.1}),
    ]


def test_a_window_is_completed_after_a_restart():
    first, second = Log(), Log()
    recorder = make_recorder(first)
    feed(recorder, range(1, 6))
    recorder.fetch()
    feed(make_recorder(second, recorder.window()), [6, 7])
    assert second.lines == [(6, "train", {"loss": 5.0, "learning_rate": 0.1})]


def test_the_error_names_the_first_step_with_nan_and_its_images():
    log = Log()
    recorder = make_recorder(log)
    with pytest.raises(TrainingError, match=r"loss is nan at step 5 \(images image5, image6; learning rate 0.1\)"):
        feed(recorder, range(1, 20), bad=5)
    assert len(log.lines) == 1


def test_the_error_names_each_image_once_and_at_most_sixteen():
    recorder = make_recorder(Log())
    recorder.add(1, np.repeat(np.arange(20), 3), {"loss": jnp.float32(np.nan)})
    shown = ", ".join(f"image{i}" for i in range(16))
    with pytest.raises(TrainingError, match=rf"\(images {shown}, ...; learning rate"):
        recorder.fetch()
