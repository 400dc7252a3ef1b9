"""Atomic file writes: temporary file, fsync, rename."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    A killed process or a power cut leaves the old content or the new one, never a mixture. The folder of `path` is
    created.

    Raises:
      OSError: the file cannot be written. The old content of `path` stays, and no other file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the rename could reach the disk before the content does
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
