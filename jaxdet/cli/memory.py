"""Errors that say that memory ran out, on the host or on the device, and what to do about it."""

import errno

from jaxdet.checks import InputError

MESSAGES = (
    *("RESOURCE_EXHAUSTED", "Out of memory", "out of memory"),  # XLA, CUDA
    *("Insufficient memory", "Cannot allocate memory"),  # OpenCV, the system
    *("can't start new thread", "bad_alloc"),  # Python, C++
)


def out_of_memory(error: Exception) -> InputError | None:
    """Return the error with advice where memory ran out, else None."""
    enough = not isinstance(error, MemoryError) and getattr(error, "errno", None) != errno.ENOMEM
    if enough and not any(text in str(error) for text in MESSAGES):
        return None
    got = str(error).partition("\n")[0].rstrip(".") or "too little"
    return InputError(
        f"memory must hold what is computed, got {got}; lower training.batch_size or evaluation.batch_size, raise "
        "training.accumulate (the same batch in parts), lower input.short_side and input.long_side, or input.workers "
        "and proposals.workers."
    )
