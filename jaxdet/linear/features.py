"""The features of a split's regions on disk, image by image, for the linear stage of R-CNN.

A folder holds one file of rows for each kind of feature and `images.bin`, which says how many rows of each kind each
image added. An image counts once its row there is written, which is after its features have reached the disk: whatever
was written beyond is cut off when the folder is opened again.

In float32 the fc7 features of AlexNet and VGG16 (4,096) are 33 MB for an image of 2,000 regions, 164 GB for the 5,011
images of VOC2007 trainval. The pool5 features (9,216 and 25,088: 74 and 200 MB) are only needed of the regions that
box_examples names, some tens an image. Writing holds one image in memory; reading maps the files, so it holds what is
read.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.io.folder import cannot_write, unwritable
from jaxdet.io.keyed_folder import claim_folder

INDEX = "images.bin"


class FeatureFolder:
    """Appends the features of one image after another, and reads them back. A writer must be the only one."""

    def __init__(self, folder: Path, key: Mapping[str, Any], widths: Mapping[str, int]):
        """Opens a folder, or begins one, which holds the images that were appended so far.

        Args:
          folder: made where it is missing.
          key: JSON values that say what the features are made of: data set, weights, proposals, parameters.
          widths: columns of each kind of feature.

        Raises:
          InputError: see claim_folder.
        """
        self._folder, self._widths = folder, dict(widths)
        claim_folder(folder, {**key, "widths": self._widths})
        self._ends = self._finished_rows()  # i64[images + 1, kinds]

    def __len__(self) -> int:
        """The number of images whose features are stored."""
        return len(self._ends) - 1

    def append(self, features: Mapping[str, np.ndarray]) -> None:
        """Adds the next image: f32[rows,width] of every kind; the numbers of rows may differ, and be 0.

        Raises:
          ValueError: another kind, or another width.
          InputError: the disk is full. What was appended before stays.
        """
        if features.keys() != self._widths.keys():
            raise ValueError(f"append: kinds must be {sorted(self._widths)}, got {sorted(features)}; pass each once.")
        for name, rows in features.items():
            if rows.ndim != 2 or rows.shape[1] != self._widths[name]:
                raise ValueError(f"append: {name} must be [rows,{self._widths[name]}], got {rows.shape}; flatten it.")
        end = self._ends[-1] + [len(features[name]) for name in self._widths]
        try:
            for name, start in zip(self._widths, self._ends[-1], strict=True):
                self._write_at(f"{name}.f32", start * self._row_bytes(name), np.asarray(features[name], np.float32))
            self._write_at(INDEX, self._ends[1:].nbytes, end)
        except OSError as error:
            if not cannot_write(error):
                raise
            cure = f"free some space and run again: the features of {len(self)} images are saved"
            raise unwritable(self._folder, error, cure=cure) from error
        self._ends = np.concatenate([self._ends, end[None]])

    def read(self, name: str) -> "FeatureRows":
        """The rows of one kind, image by image, of the images stored by now."""
        column = list(self._widths).index(name)
        return FeatureRows(self._folder / f"{name}.f32", self._ends[:, column], self._widths[name])

    def _row_bytes(self, name):
        return 4 * self._widths[name]

    def _write_at(self, name, position, array):
        """Writes an array at its place, over what an interrupted append may have left there, and waits for the disk."""
        path = self._folder / name
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(position)
            file.seek(position)
            file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())

    def _finished_rows(self):
        """Rows of each kind after each finished image, i64[images+1,kinds]."""
        path = self._folder / INDEX
        found = path.read_bytes() if path.exists() else b""
        record = 8 * len(self._widths)
        ends = np.frombuffer(found[: len(found) // record * record], np.int64).reshape(-1, len(self._widths))
        files = [self._folder / f"{name}.f32" for name in self._widths]
        sizes = np.array([file.stat().st_size if file.exists() else 0 for file in files])
        there = (ends * [self._row_bytes(name) for name in self._widths] <= sizes).all(axis=1)
        return np.concatenate([np.zeros((1, len(files)), np.int64), ends[there]])


class FeatureRows(Sequence):
    """One kind of feature: [i] -> f32[rows,width] of image i, mapped from the disk, read-only."""

    def __init__(self, path: Path, ends: np.ndarray, width: int):
        self._path, self._ends, self._width = path, ends, width

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        i = range(len(self))[i]
        rows, offset = int(self._ends[i + 1] - self._ends[i]), int(self._ends[i]) * 4 * self._width
        if not rows:  # nothing cannot be mapped
            return np.zeros((0, self._width), np.float32)
        return np.memmap(self._path, np.float32, "r", offset, (rows, self._width))


def mean_norm(rows: Sequence[np.ndarray], *, images: int = 200, regions: int = 200, seed: int = 0) -> float:
    """The mean length of features, estimated as R-CNN does: of 200 random regions in each of 200 random images.

    Args:
      rows: [i] -> f32[n,width]. Where only the lengths were stored, width is 1.

    Returns: the mean; 1 where there are no regions, or all features are 0, so that one may divide by it.
    """
    rng = np.random.default_rng(seed)
    lengths = [np.zeros(0)]
    for i in rng.permutation(len(rows))[:images]:
        some = rows[i][np.sort(rng.permutation(len(rows[i]))[:regions])]
        lengths.append(np.linalg.norm(some.astype(np.float64), axis=1))
    lengths = np.concatenate(lengths)
    return float(lengths.mean()) if lengths.any() else 1.0
