"""Cached stage outputs: atomic files in a folder keyed by their inputs.

`key.json` in the folder is a JSON object of everything the other files depend on: data set, weights, parameters. It is
compared before they are used.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.atomic import atomic_write, draft_of
from jaxdet.io.folder import unwritable

KEY = "key.json"
Key = Mapping[str, Any]  # JSON values


def claim_folder(folder: Path, key: Key) -> None:
    """Create a folder for outputs that depend on `key`, or check that the outputs in it depend on the same.

    Raises:
      InputError: the folder holds outputs of another key (the error lists the differences) or without a key, or it
        cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key_files = {KEY, draft_of(folder / KEY).name}
        if {file.name for file in folder.iterdir()} <= key_files:  # no outputs yet: the key may change
            write_key(folder, key)
    except OSError as error:
        raise unwritable(folder, error, cure="make room and start again") from error
    check_folder(folder, key)


def write_key(folder: Path, key: Key) -> None:
    """Write a folder's key; OSError where it cannot be written."""
    with atomic_write(folder / KEY) as file:
        file.write(json.dumps(dict(key), indent=1).encode())


def check_folder(folder: Path, key: Key) -> None:
    """Raise InputError unless the key stored in a folder is `key`."""
    try:
        stored = dict(json.loads((folder / KEY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / KEY} must say what the folder depends on, got {error}; delete the folder and run again."
        ) from error
    check_key(folder, stored, key)


def check_key(path: Path, stored: Key, key: Key) -> None:
    """Raise InputError unless the key stored at `path` is `key`; the error lists every entry that differs."""
    stored, key = (json.loads(json.dumps(dict(each))) for each in (stored, key))  # a tuple is a list in JSON
    names = [n for n in {**key, **stored} if n not in stored or n not in key or stored[n] != key[n]]
    if names:
        differences = "; ".join(f"{n} must be {key.get(n)!r}, got {stored.get(n)!r}" for n in names)
        raise InputError(f"{path} is of other data or parameters: {differences}; delete it and run again.")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file, replacing its old content. Its folder is created.

    Raises:
      InputError: the disk is full or the folder cannot be written. The old content stays.
    """
    try:
        with atomic_write(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # a name could be allow_pickle
    except OSError as error:
        raise unwritable(path, error, cure="make room and start again") from error


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of save_arrays; {} if the file does not exist.

    Raises:
      InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} must be whole, got {error}; delete it and run again.") from error
