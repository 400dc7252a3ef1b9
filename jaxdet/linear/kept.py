"""What a fit has found, kept in a file: whole or not at all, whenever the process is killed."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxdet.checks import InputError


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays over what the file held; its folder is made.

    Raises:
      InputError: the disk is full or the folder cannot be written. What the file held before stays.
    """
    draft = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise InputError(f"{path} must be written, got {error.strerror}; make room and start again.") from error
    finally:
        draft.unlink(missing_ok=True)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What save_arrays wrote; {} where there is no such file."""
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)
