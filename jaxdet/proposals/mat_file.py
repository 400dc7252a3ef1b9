"""Boxes that Selective Search's authors computed, from the .mat files that R-CNN and Fast R-CNN read.

A file holds two cell arrays of one length: `images`, the names of the images, and `boxes`, for each an N x 4 matrix of
rows (y1, x1, y2, x2): whole pixels of the original image, counted from 1, the last ones included.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.mat_file import read_mat
from jaxdet.io.progress import waiting
from jaxdet.proposals.file import open_proposals
from jaxdet.proposals.writer import ProposalWriter, log_counts
from jaxdet.types import Dataset, ProposalTable


def mat_paths(pattern: str, split: str) -> list[Path]:
    """Return the files of a split: `pattern`, with {split} replaced by each term of a sum of splits.

    A term's slash becomes an underscore and its slice is dropped, so that '2007/trainval[:10%]+2012/trainval' and
    'voc_{split}.mat' name voc_2007_trainval.mat and voc_2012_trainval.mat.

    Raises:
      InputError: a file does not exist.
    """
    terms = [term.partition("[")[0].strip().replace("/", "_") for term in split.split("+")]
    paths = [Path(path) for path in dict.fromkeys(pattern.replace("{split}", term) for term in terms)]
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"proposals.file must name the boxes of split {split}, got {path}, which is no file; correct it, with "
                "{split} where the name of the split stands, or leave it empty to search."
            )
    return paths


def mat_key(paths: Sequence[Path]) -> dict[str, Any]:
    """Return what the boxes of these files depend on."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return {"method": "mat_file", "sha256": digests}


def import_boxes(dataset: Dataset, path: Path, paths: Sequence[Path]) -> ProposalTable:
    """Return the boxes that .mat files hold for a split, read from the proposals file at `path` or converted to it.

    A box (y1, x1, y2, x2) becomes (x1 - 1, y1 - 1, x2, y2), which is continuous. All boxes of an image are used, in
    the order of the file. The files may hold other images too.

    Args:
      dataset: the split.
      path: the proposals file.
      paths: .mat files, which together hold each image of the split once.

    Raises:
      InputError: a file cannot be read, an image is missing or comes twice, or a box is not inside its image; or see
        open_proposals and ProposalWriter.
    """
    key = {"dataset": dataset.fingerprint, "images": len(dataset), **mat_key(paths)}
    if path.is_file():
        return open_proposals(path, key)
    with waiting(f"reading {_joined(paths)}"):
        matrices = _matrices(paths, wanted=set(dataset.names))
    missing = [name for name in dataset.names if name not in matrices]
    if missing:
        raise InputError(
            f"{_joined(paths)} must hold the boxes of every image, got none of {len(missing)} of {len(dataset)}, first "
            f"{missing[0]}; name the file of this split, whose `images` are names without suffix."
        )
    boxes = [
        _continuous(*matrices[name], size=size, name=name)
        for name, size in zip(dataset.names, dataset.image_sizes, strict=True)
    ]
    with ProposalWriter(path, key) as writer:
        for image_boxes in boxes[writer.done :]:
            writer.add(image_boxes)
        table = writer.finish()
    log_counts(table, dataset.names, path)
    return table


def _matrices(paths: Sequence[Path], wanted: set[str]) -> dict[str, tuple[np.ndarray, Path]]:
    """Return the matrix of each wanted image and the file it comes from."""
    matrices: dict[str, tuple[np.ndarray, Path]] = {}
    for path in paths:
        names, boxes = _cells(path)
        for name, matrix in zip(names, boxes, strict=True):
            if name in matrices:
                raise InputError(
                    f"{path}: image {name} must come once, got it again after {matrices[name][1]}; remove one."
                )
            if name in wanted:
                matrices[name] = matrix, path
    return matrices


def _cells(path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Return the names and the matrices of a file."""
    content = read_mat(path, "boxes", "images")
    cells = {}
    for variable in ("boxes", "images"):
        array = content.get(variable)
        if array is None or array.dtype != object:
            got = "none" if array is None else f"{array.dtype}{list(array.shape)}"
            raise InputError(f"{path}: variable {variable} must be a cell array, got {got}; see docs/pascal-voc.md.")
        cells[variable] = [np.asarray(cell) for cell in array.ravel()]
    names = ["".join(map(str, cell.ravel())) for cell in cells["images"]]
    if len(names) != len(cells["boxes"]):
        raise InputError(
            f"{path}: images and boxes must have one length, got {len(names)} and {len(cells['boxes'])}; save it again."
        )
    return names, cells["boxes"]


def _continuous(matrix: np.ndarray, path: Path, *, size: np.ndarray, name: str) -> np.ndarray:
    """Return the boxes f32[n,4] of an image of `size` (height, width) from its matrix; checks all of them."""
    if not matrix.size:  # MATLAB's [] is 0 x 0
        return np.zeros((0, 4), np.float32)
    if matrix.ndim != 2 or matrix.shape[1] != 4 or matrix.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: boxes of {name} must be N x 4 numbers, got {matrix.dtype}{list(matrix.shape)}; save them so."
        )
    y1, x1, y2, x2 = matrix.astype(np.float64).T
    height, width = map(int, size)
    inside = (y1 >= 1) & (x1 >= 1) & (y2 >= y1) & (x2 >= x1) & (y2 <= height) & (x2 <= width)  # False where NaN
    if not inside.all():
        row = int(np.argmin(inside))
        raise InputError(
            f"{path}: boxes of {name} must be rows y1 x1 y2 x2 within 1..{height} and 1..{width}, got "
            f"{matrix[row].tolist()} in row {row + 1}; save them in this order, in pixels of the original image."
        )
    return np.stack([x1 - 1, y1 - 1, x2, y2], axis=1).astype(np.float32)


def _joined(paths: Sequence[Path]) -> str:
    return " and ".join(map(str, paths))
