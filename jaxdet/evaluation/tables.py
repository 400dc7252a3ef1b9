"""Detections and ground truth of a whole split as flat columns, one row per object, in any order."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from jaxdet.ops.boxes_np import box_clip

Columns = TypeVar("Columns", bound=Any)  # a dataclass with one array per column


@dataclasses.dataclass(frozen=True)
class DetectionTable:
    """All detections of a split, boxes in original pixels; of equal scores the earlier row counts as the higher.

    Raises:
      ValueError: the columns differ in length.
    """

    image: np.ndarray  # i32[n] index of the image in its split
    boxes: np.ndarray  # f[n,4]
    labels: np.ndarray  # i32[n] 1..K
    scores: np.ndarray  # f[n]

    def __post_init__(self):
        _check_columns(self)


@dataclasses.dataclass(frozen=True)
class GroundTruthTable:
    """All annotated objects of a split, boxes in original pixels.

    Raises:
      ValueError: the columns differ in length.
    """

    image: np.ndarray  # i32[n] index of the image in its split
    boxes: np.ndarray  # f[n,4]
    labels: np.ndarray  # i32[n] 1..K
    difficult: np.ndarray  # bool[n]

    def __post_init__(self):
        _check_columns(self)


def only_named(table: DetectionTable, class_names: Sequence[str], unused: str) -> DetectionTable:
    """Drop the detections of classes named `unused`, and number the other classes from 1 without gaps."""
    named = np.array([name != unused for name in class_names])
    rows, number = named[table.labels - 1], np.cumsum(named)[table.labels - 1].astype(np.int32)
    return DetectionTable(table.image[rows], table.boxes[rows], number[rows], table.scores[rows])


def clip_to_images(table: DetectionTable, image_sizes: np.ndarray) -> DetectionTable:
    """Clip the boxes to their images, i32[n,2] (height, width) in original pixels.

    A detector clips to the resized image, whose sides are rounded: in an image of extreme aspect ratio, by a lot.
    """
    return dataclasses.replace(table, boxes=box_clip(table.boxes, image_sizes[table.image]))


def best_of_each_class(table: DetectionTable, *, images: int, mean: int) -> DetectionTable:
    """Select the `mean` x `images` best detections of each class over the whole split; `mean` 0 selects all.

    R-CNN and Fast R-CNN report 40 boxes per class and image on average, more of them where the class is frequent.
    Detections that tie with the last one are selected too.
    """
    if not mean:
        return table
    selected = np.ones(len(table.image), bool)
    for label in np.unique(table.labels):
        of_class = table.labels == label
        if of_class.sum() > mean * images:
            selected &= ~of_class | (table.scores >= np.sort(table.scores[of_class])[-mean * images])
    return select_rows(table, selected)


def select_rows(table: Columns, rows: np.ndarray) -> Columns:
    """Return the rows (bool[n] or i[m]) of a dataclass of columns."""
    return dataclasses.replace(
        table, **{field.name: getattr(table, field.name)[rows] for field in dataclasses.fields(table)}
    )


def check_labels(table: DetectionTable | GroundTruthTable, num_classes: int) -> None:
    """Raise ValueError unless every label lies in 1..num_classes (0 is background and never in a table)."""
    wrong = np.unique(table.labels[(table.labels < 1) | (table.labels > num_classes)])
    if wrong.size:
        raise ValueError(
            f"{type(table).__name__}: labels must lie in 1..{num_classes}, got {wrong[:5].tolist()}; "
            "pass num_classes without the background, and tables of the same data set."
        )


def _check_columns(table: DetectionTable | GroundTruthTable) -> None:
    shapes = {field.name: np.shape(getattr(table, field.name)) for field in dataclasses.fields(table)}
    n = len(table.image)
    expected = {name: (n, 4) if name == "boxes" else (n,) for name in shapes}
    if shapes != expected:
        raise ValueError(
            f"{type(table).__name__}: columns must have shapes {expected}, got {shapes}; one row per object."
        )
