"""Region features of a split on disk, image by image, for the linear stage of R-CNN.

A folder holds one file of rows per kind of feature, and `images.bin` with the row counts after each image. An image is
stored once its entry there is written, which happens after its features have reached the disk; anything beyond is
truncated when the folder is opened again.

In float32 the fc7 features of AlexNet and VGG16 (4,096) take 33 MB per image of 2,000 regions, 164 GB for the 5,011
images of VOC2007 trainval. The pool5 features (9,216 and 25,088: 74 and 200 MB) are only needed for the regions of
box_examples, some tens per image. Writing holds one image in memory; reading maps the files, so it holds what is read.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.io.folder import cannot_write, unwritable
from jaxdet.io.keyed_folder import claim_folder
from jaxdet.types import Indexed

INDEX = "images.bin"
SAMPLED_IMAGES, SAMPLED_REGIONS = 200, 200  # for mean_norm; regions per image


class FeatureFolder:
    """Features on disk: appended image by image, and read back. Only one process may write."""

    def __init__(self, folder: Path, key: Mapping[str, Any], widths: Mapping[str, int]):
        """Create a folder, or open one with the images appended so far.

        Args:
          folder: created if missing.
          key: JSON values that the features depend on: data set, weights, proposals, parameters.
          widths: kind of feature -> number of columns.

        Raises:
          InputError: see claim_folder.
        """
        self._folder, self._widths = folder, dict(widths)
        claim_folder(folder, {**key, "widths": self._widths})
        self._ends = self._stored_ends()  # i64[images + 1, kinds] row counts after each image, 0 first

    def __len__(self) -> int:
        """Return the number of stored images."""
        return len(self._ends) - 1

    def append(self, features: Mapping[str, np.ndarray]) -> None:
        """Store the next image: f32[rows,width] of every kind. Row counts may differ between kinds, and be 0.

        Raises:
          ValueError: a kind is missing or unknown, or a width is wrong.
          InputError: the disk is full. The images before stay.
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
        """Return the rows of one kind, per image stored so far."""
        column = list(self._widths).index(name)
        return FeatureRows(self._folder / f"{name}.f32", self._ends[:, column], self._widths[name])

    def _row_bytes(self, name: str) -> int:
        return 4 * self._widths[name]

    def _write_at(self, name: str, position: int, array: np.ndarray) -> None:
        """Write an array at a position, over what an interrupted append left there, and wait for the disk."""
        path = self._folder / name
        with path.open("r+b" if position or path.exists() else "w+b") as file:  # a file that was removed is an error
            file.truncate(position)
            file.seek(position)
            file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())

    def _stored_ends(self) -> np.ndarray:
        """Return the row counts after each completely stored image, i64[images+1,kinds]."""
        path = self._folder / INDEX
        content = path.read_bytes() if path.exists() else b""
        entry_bytes = 8 * len(self._widths)
        whole = content[: len(content) // entry_bytes * entry_bytes]
        ends = np.frombuffer(whole, np.int64).reshape(-1, len(self._widths))
        files = [self._folder / f"{name}.f32" for name in self._widths]
        sizes = np.array([file.stat().st_size if file.exists() else 0 for file in files])
        stored = (ends * [self._row_bytes(name) for name in self._widths] <= sizes).all(axis=1)
        return np.concatenate([np.zeros((1, len(files)), np.int64), ends[stored]])


class FeatureRows(Indexed[np.ndarray]):
    """One kind of feature: [i] -> f32[rows,width] of image i, mapped from the disk, read-only."""

    def __init__(self, path: Path, ends: np.ndarray, width: int):
        self._path, self._ends, self._width = path, ends, width

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        i = range(len(self))[i]
        rows, offset = int(self._ends[i + 1] - self._ends[i]), int(self._ends[i]) * 4 * self._width
        if not rows:  # an empty range cannot be mapped
            return np.zeros((0, self._width), np.float32)
        return np.memmap(self._path, np.float32, "r", offset, (rows, self._width))


def mean_norm(rows: Indexed[np.ndarray], *, seed: int = 0) -> float:
    """Return the mean length of features, estimated as in R-CNN from 200 random regions of each of 200 random images.

    Args:
      rows: [i] -> f32[n,width] features of image i; width is 1 where only their lengths were stored.
      seed: of the sample.

    Returns:
      The mean; 1 if there are no regions or all features are 0, so that it can be a divisor.
    """
    rng = np.random.default_rng(seed)
    lengths = [np.zeros(0)]
    for i in rng.permutation(len(rows))[:SAMPLED_IMAGES]:
        sample = rows[i][np.sort(rng.permutation(len(rows[i]))[:SAMPLED_REGIONS])]
        lengths.append(np.linalg.norm(sample.astype(np.float64), axis=1))
    sampled = np.concatenate(lengths)
    return float(sampled.mean()) if sampled.any() else 1.0
