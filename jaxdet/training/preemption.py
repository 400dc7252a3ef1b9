"""SIGTERM and Ctrl-C as a request to stop, which the loop answers between two steps, with everything saved."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils

SYNC_STEPS = 10


class Interrupted(BaseException):
    """A request to stop that arrived inside `interruptible`.

    It is a BaseException, so that `except Exception` does not catch it.
    """


class StopRequest:
    """Remembers the first signal; a Ctrl-C after it stops at once, without saving."""

    def __init__(self):
        self._signal: int | None = None
        self._raises = False

    def received(self, step: int) -> int | None:
        """Return the number of the signal received before `step`, the same in all processes; None without one."""
        if jax.process_count() == 1:
            return self._signal
        # jax's own service watches SIGTERM in every process and makes them agree on the step.
        return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(step) else None

    def is_past(self, deadline: float, step: int) -> bool:
        """Return whether a time of time.monotonic() is past, the same in all processes: that of process 0.

        Several processes ask each other every SYNC_STEPS steps only.
        """
        if deadline == math.inf or (jax.process_count() > 1 and step % SYNC_STEPS):
            return False
        past = time.monotonic() >= deadline
        return past if jax.process_count() == 1 else bool(multihost_utils.broadcast_one_to_all(np.array(past)))

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal raise Interrupted inside the block: for work that may be repeated."""
        self._raises = True
        try:
            if self._signal is not None:
                raise Interrupted
            yield
        finally:
            self._raises = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt("after a request to stop, so without saving the steps since the last checkpoint")
        if self._raises:
            self._raises = False
            raise Interrupted


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch SIGTERM and Ctrl-C inside the block (main thread only).

    In a run of several processes jax catches them.
    """
    request = StopRequest()
    if jax.process_count() > 1:
        yield request
        return
    before = {number: signal.signal(number, request._note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
