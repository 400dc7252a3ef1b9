import gzip
import json
import signal

import jax
import pytest

from jaxdet.checks import InputError
from jaxdet.training.profile import check_profile
from tests.training import toy


@pytest.mark.parametrize("profile", [(0, 3), (3, 0), (5, 4), (19, 21), (21, 21)])
def test_steps_out_of_range_are_refused(profile):
    with pytest.raises(InputError, match="from 1 to 20, got"):
        check_profile(profile, steps=20)


@pytest.mark.parametrize("profile", [(0, 0), (1, 1), (3, 20)])
def test_steps_in_range_are_accepted(profile):
    check_profile(profile, steps=20)


def test_a_trace_of_the_steps_opens_in_perfetto_and_tensorboard(tmp_path, capsys):
    toy.train(tmp_path, steps=6, profile=(3, 5))
    (trace,) = (tmp_path / "profile").rglob("*.trace.json.gz")  # for Perfetto
    assert json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert list(trace.parent.glob("*.xplane.pb"))  # for TensorBoard
    printed = capsys.readouterr().out
    assert "toy: tracing steps 3 to 5\n" in printed
    assert f"toy: trace written to {tmp_path / 'profile'}\n" in printed


class Tracer:
    """Stand-in for jax's profiler, which notes its calls."""

    def __init__(self, monkeypatch):
        self.calls = []
        monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: self.calls.append("start"))
        monkeypatch.setattr(jax.profiler, "stop_trace", lambda: self.calls.append("stop"))


def test_without_steps_nothing_is_traced(tmp_path, monkeypatch):
    tracer = Tracer(monkeypatch)
    toy.train(tmp_path, steps=3)
    assert tracer.calls == []
    assert not (tmp_path / "profile").exists()


def test_a_run_that_is_stopped_writes_the_steps_traced_so_far(tmp_path, monkeypatch):
    def interrupted(start):
        for step in range(start + 1, 7):
            if step == 4:
                signal.raise_signal(signal.SIGINT)
            yield toy.batch(step)

    tracer = Tracer(monkeypatch)
    with pytest.raises(SystemExit):
        toy.train(tmp_path, steps=6, profile=(3, 5), batches=interrupted)
    assert tracer.calls == ["start", "stop"]
    toy.train(tmp_path, steps=6, profile=(3, 5))  # the last step of the range is left
    assert tracer.calls == ["start", "stop"] * 2


def test_only_process_0_traces(tmp_path, monkeypatch):
    from jaxdet.training.profile import Profile

    tracer = Tracer(monkeypatch)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    profile = Profile((1, 2), tmp_path, print)
    profile.before(1)
    profile.close()
    assert tracer.calls == []
