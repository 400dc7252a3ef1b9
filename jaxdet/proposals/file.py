"""Proposals files: the boxes of every image of a split, with a key of their inputs.

Selective Search and RPNs write them, Fast R-CNN and R-CNN read them. A file is one .npz with all boxes, the start of
each image's boxes, and the key: a JSON object of everything the boxes depend on, compared before they are used. Its
entry "images" is the number of images.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.atomic import atomic_write
from jaxdet.io.keyed_folder import check_key
from jaxdet.types import ProposalTable


def open_proposals(path: str | os.PathLike[str], key: Mapping[str, Any]) -> ProposalTable:
    """Read a proposals file whose key is `key`.

    Raises:
      InputError: the file is missing or unfinished (the error states how many images lack proposals), damaged, or of
        another key (the error lists the differences).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"proposals: {path} must be a file of proposals, got {_missing(path, key)}; make it first.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            table = ProposalTable(boxes=file["boxes"], starts=file["starts"])
            stored_key = dict(json.loads(str(file["key"])))
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"proposals: {path} must be a file of proposals, got {error}; delete it and run again."
        ) from error
    check_key(path, stored_key, key)
    if len(table) != key["images"] or table.starts[0] != 0 or table.starts[-1] != len(table.boxes):
        raise InputError(
            f"proposals: {path} must cover {key['images']} images, got {len(table)} images and {len(table.boxes)} "
            "boxes that do not fit; delete it and run again."
        )
    return table


def save_proposals(path: str | os.PathLike[str], table: ProposalTable, key: Mapping[str, Any]) -> None:
    """Write a proposals file atomically; its folder is created.

    Raises:
      ValueError: the key's "images" is not the length of the table.
      OSError: the file cannot be written.
    """
    if key["images"] != len(table):
        raise ValueError(f"save_proposals: table must cover {key['images']} images, got {len(table)}; see the key.")
    with atomic_write(Path(path)) as file:
        np.savez(file, boxes=table.boxes, starts=table.starts, key=np.array(json.dumps(dict(key))))


def parts_folder(path: Path) -> Path:
    """Return the folder of the images done so far, until the file at `path` is finished."""
    return path.with_name(path.name + ".parts")


def _missing(path: Path, key: Mapping[str, Any]) -> str:
    counts = parts_folder(path) / "counts"
    if not counts.is_file():
        return "none"
    done = counts.stat().st_size // np.dtype(np.int64).itemsize
    return f"an unfinished one: {key['images'] - done} of {key['images']} images lack proposals"
