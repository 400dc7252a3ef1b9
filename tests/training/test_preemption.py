import signal

import pytest

from jaxdet.training.preemption import Interrupted, stop_request


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_until_the_loop_asks(number):
    before = signal.getsignal(number)
    with stop_request() as stop:
        assert stop.received(1) is None
        signal.raise_signal(number)
        assert stop.received(2) == number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_ctrl_c_after_a_signal_stops_at_once(first):
    with stop_request():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt, match="after a request to stop, so without saving"):
            signal.raise_signal(signal.SIGINT)


def test_of_two_signals_the_first_is_answered():
    with stop_request() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert stop.received(1) == signal.SIGINT


def test_interruptible_work_is_interrupted_by_a_signal_during_or_before_it():
    with stop_request() as stop:
        with pytest.raises(Interrupted), stop.interruptible():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted), stop.interruptible():
            raise AssertionError("must not be reached")
