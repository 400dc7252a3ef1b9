"""A trace of some training steps by jax's profiler, which TensorBoard and Perfetto show."""

from collections.abc import Callable
from pathlib import Path

import jax

from jaxdet.checks import InputError


def check_profile(profile: tuple[int, int], *, steps: int) -> None:
    """Raise InputError unless `profile` is (0, 0) or the first and the last of the steps to trace."""
    first, last = profile
    if profile != (0, 0) and not 1 <= first <= last <= steps:
        raise InputError(
            f"training.profile must be the first and last step to trace, from 1 to {steps}, got {first} and {last}; "
            "give two steps in order, or (0, 0) for no trace."
        )


class Profile:
    """Traces the steps `first` to `last` into a folder, in process 0 only; (0, 0) traces none."""

    def __init__(self, profile: tuple[int, int], folder: Path, say: Callable[[str], None]):
        self._first, self._last = profile
        self._folder, self._say = folder, say
        self._active = False

    def before(self, step: int) -> None:
        """Start the trace if this step is the first of it, or the first since the run resumed."""
        if not self._active and self._first <= step <= self._last and jax.process_index() == 0:
            self._say(f"tracing steps {step} to {self._last}")
            jax.profiler.start_trace(str(self._folder))
            self._active = True

    def after(self, step: int, state: object) -> None:
        """End the trace if this step is the last of it, once the device has computed `state`."""
        if self._active and step == self._last:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """Write what was traced."""
        if self._active:
            self._active = False
            jax.profiler.stop_trace()
            self._say(f"trace written to {self._folder}")
