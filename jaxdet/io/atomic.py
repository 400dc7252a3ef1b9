"""Atomic file writes: temporary file, fsync, rename."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the block ends without an error.

    A killed process or a power cut leaves the old content or the new one, never a mixture. The folder of `path` is
    created.

    Raises:
      OSError: the file cannot be written; `filename` of the error names it. The old content of `path` stays, and no
        other file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the rename could reach the disk before the content does
        draft.replace(path)
    except OSError as error:
        if error.filename in (None, str(draft)):  # a write does not say to which file
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def draft_of(path: Path) -> Path:
    """Return the temporary file of a path: short, as the name of `path` may be as long as names can be."""
    return path.with_name(f".jaxdet-{zlib.crc32(os.fsencode(path.name)):08x}")
