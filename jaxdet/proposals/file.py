"""The file that holds the proposals of a split: written by Selective Search or by an RPN, read by Fast R-CNN and R-CNN.

One .npz with all boxes, where each image's begin, and the key: a JSON object of what the boxes depend on, which is
compared before they are used. Its entry "images" is the number of images.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.atomic import whole_file
from jaxdet.types import ProposalTable

KEY = "key.json"  # in a folder, says what the others of its files are made of


def open_proposals(path: str | os.PathLike, key: Mapping[str, Any]) -> ProposalTable:
    """Reads a proposals file, if it was made for `key`.

    Raises:
        InputError: the file is missing or unfinished (with the number of images that lack proposals), damaged, or of
            another key (with every entry that differs).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"proposals: {path} must be a file of proposals, got {_missing(path, key)}; make it first.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            table = ProposalTable(boxes=file["boxes"], starts=file["starts"])
            found = dict(json.loads(str(file["key"])))
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"proposals: {path} must be a file of proposals, got {error}; delete it to have it made anew."
        ) from error
    check_key(path, found, key)
    if len(table) != key["images"] or table.starts[0] != 0 or table.starts[-1] != len(table.boxes):
        raise InputError(
            f"proposals: {path} must cover {key['images']} images, got {len(table)} images and {len(table.boxes)} "
            "boxes that do not fit; delete it to have it made anew."
        )
    return table


def save_proposals(path: str | os.PathLike, table: ProposalTable, key: Mapping[str, Any]) -> None:
    """Writes a proposals file whole or not at all; its folder is made.

    Raises:
        ValueError: the key's "images" is not the length of the table.
        OSError: the file cannot be written.
    """
    if key["images"] != len(table):
        raise ValueError(f"save_proposals: table must cover {key['images']} images, got {len(table)}; see the key.")
    with whole_file(Path(path)) as file:
        np.savez(file, boxes=table.boxes, starts=table.starts, key=json.dumps(dict(key)))


def check_key(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises InputError with every entry in which the key found at `path` is not the one wanted."""
    found, wanted = (json.loads(json.dumps(dict(key))) for key in (found, wanted))  # a tuple is a list in JSON
    names = [n for n in {**wanted, **found} if n not in found or n not in wanted or found[n] != wanted[n]]
    if names:
        differ = "; ".join(f"{n} must be {wanted.get(n)!r}, got {found.get(n)!r}" for n in names)
        raise InputError(f"{path} is of other data or parameters: {differ}; delete it to have it made anew.")


def check_folder(folder: Path, wanted: Mapping[str, Any]) -> None:
    """check_key with the key that lies in a folder; InputError, too, where that is missing or damaged."""
    try:
        found = dict(json.loads((folder / KEY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / KEY} must say what the folder is made of, got {error}; delete the folder to have it made anew."
        ) from error
    check_key(folder, found, wanted)


def parts_folder(path: Path) -> Path:
    """Where the proposals of the images done lie until the file at `path` is whole."""
    return path.with_name(path.name + ".parts")


def _missing(path: Path, key: Mapping[str, Any]) -> str:
    counts = parts_folder(path) / "counts"
    if not counts.is_file():
        return "none"
    done = counts.stat().st_size // np.dtype(np.int64).itemsize
    return f"an unfinished one: {key['images'] - done} of {key['images']} images lack proposals"
