"""Files that are there whole or not at all, whenever the process or the machine stops."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file to write, which takes the place of `path` when the block ends without an error.

    The folder of `path` is made.

    Raises:
      OSError: it cannot be written. What `path` held before stays, and nothing else is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or its name could reach the disk before its content does
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
