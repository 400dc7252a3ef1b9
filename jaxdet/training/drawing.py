"""Drawings that training can do without: curves.png and the pictures."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.io.folder import cannot_write

log = logging.getLogger(__name__)


@contextlib.contextmanager
def optional_drawing(target: Path) -> Iterator[None]:
    """Suppress an error of a drawing library in the block; log it as a warning, once per target and error.

    Matplotlib and Pillow raise RuntimeError, ValueError and OSError. An OSError that says that the disk is full or the
    folder not writable is raised, and so is every other exception.

    Args:
      target: the file, or the folder of the pictures, that the warning names.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, InputError) or isinstance(error, OSError) and cannot_write(error):
            raise
        _warn(target, f"{type(error).__name__}: {error}")


@functools.cache
def _warn(target: Path, error: str) -> None:
    log.warning("%s cannot be drawn (%s); training continues without it", target, error)
