"""What a stage leaves on disk: in a folder that knows what it was made from, each file whole or not at all."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.atomic import whole_file
from jaxdet.proposals.file import KEY, check_folder


def claim_folder(folder: Path, key: Mapping[str, Any]) -> None:
    """Makes a folder for what is made of `key`, or checks that what it holds was made of the same.

    Args:
      key: JSON values: data set, weights, parameters.

    Raises:
      InputError: the folder holds something of another key (with what differs) or of none, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if {file.name for file in folder.iterdir()} <= {KEY, f".{KEY}"}:  # nothing is lost, whatever the key was
            with whole_file(folder / KEY) as file:
                file.write(json.dumps(dict(key), indent=1).encode())
    except OSError as error:
        raise InputError(f"{folder} must be writable, got {error.strerror}; make room and start again.") from error
    check_folder(folder, key)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays over what the file held; its folder is made.

    Raises:
      InputError: the disk is full or the folder cannot be written. What the file held before stays.
    """
    try:
        with whole_file(path) as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise InputError(f"{path} must be written, got {error.strerror}; make room and start again.") from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What save_arrays wrote; {} where there is no such file.

    Raises:
      InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} must be whole, got {error}; delete it to have it made anew.") from error
