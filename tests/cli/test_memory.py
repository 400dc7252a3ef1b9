import errno

import cv2
import numpy as np
import pytest

from jaxdet.cli.memory import out_of_memory


def allocate_too_much():
    np.zeros(1 << 60, np.uint8)


def fail_in_opencv():
    raise cv2.error("OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes")


def fail(error):
    raise error


@pytest.mark.parametrize(
    "run",
    [
        allocate_too_much,
        fail_in_opencv,
        lambda: fail(MemoryError()),
        lambda: fail(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nBacktrace")),
        lambda: fail(RuntimeError("can't start new thread")),
        lambda: fail(OSError(errno.ENOMEM, "Cannot allocate memory")),
    ],
)
def test_too_little_memory_is_one_line_with_advice(run):
    with pytest.raises(Exception) as raised:
        run()
    error = str(out_of_memory(raised.value))
    assert error.startswith("memory must hold what is computed, got ") and "\n" not in error
    assert "lower training.batch_size" in error and "raise training.accumulate" in error


def test_other_errors_are_not_about_memory():
    assert out_of_memory(ValueError("shapes differ")) is None
    assert out_of_memory(OSError(errno.ENOENT, "No such file")) is None
