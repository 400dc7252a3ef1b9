"""Result files that are there whole or not at all, whatever happens while they are written."""

import os
import pathlib


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8 to a file, whose folder is made; until it is complete the old file of that name stays.

    Raises:
      OSError: it cannot be written; then nothing of it is left behind.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
