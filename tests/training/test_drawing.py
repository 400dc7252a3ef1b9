import errno
import logging

import pytest

from jaxdet.checks import InputError
from jaxdet.training.drawing import optional_drawing


def test_an_error_of_a_drawing_library_is_one_warning_for_each_target(tmp_path, caplog):
    for target in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        with optional_drawing(target):
            raise RuntimeError("no glyph")
    warning = "cannot be drawn (RuntimeError: no glyph); training continues without it"
    assert caplog.record_tuples == [
        ("jaxdet.training.drawing", logging.WARNING, f"{tmp_path / name} {warning}") for name in ("a", "b")
    ]


def test_another_error_of_the_same_target_is_logged_too(tmp_path, caplog):
    for error in (ValueError("size"), OSError("cannot open resource")):
        with optional_drawing(tmp_path):
            raise error
    assert [message.partition("(")[2].partition(")")[0] for message in caplog.messages] == [
        "ValueError: size",
        "OSError: cannot open resource",
    ]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied"),
        InputError("a mistake"),
        KeyError("a bug"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
)
def test_full_disks_mistakes_bugs_and_interrupts_are_raised(tmp_path, caplog, error):
    with pytest.raises(type(error)), optional_drawing(tmp_path):
        raise error
    assert not caplog.records
