"""YOLO's label files: a line per object with a class index and a box, or a polygon, in fractions of the image."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path

from jaxdet.data.datasets.continuous_box import clipped
from jaxdet.data.datasets.features import VocObject
from jaxdet.data.datasets.folder_format import ImageAnnotation
from jaxdet.data.datasets.voc_xml import MAX_OBJECTS
from jaxdet.data.datasets.xml_file import MAX_BYTES, Unusable
from jaxdet.io.regular_file import read_regular

MAX_FRACTION = 2.0  # of a coordinate; beyond it the label is in pixels
Row = tuple[str, tuple[float, float, float, float]]  # class name, corners x1, y1, x2, y2 in fractions


def read_labels(file: Path | None, names: Mapping[int, str], *, keypoints: bool) -> ImageAnnotation:
    """Return the annotation in a label file; without a file, or with an empty one, the image has no objects.

    The fractions are of the upright image, as YOLO's readers and annotation tools show it.

    Raises:
      Unusable: the file cannot be read, has more than MAX_BYTES or MAX_OBJECTS labels, or none of them can be read.
    """
    if file is None:
        return _annotation([], [], "have no label file: background")
    try:
        lines = read_regular(file, max_bytes=MAX_BYTES).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise Unusable(f"annotation cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise Unusable("annotation is not UTF-8 text") from error
    lines = [line for line in lines if line.strip()]
    if len(lines) > MAX_OBJECTS:
        raise Unusable(f"annotation has {len(lines)} objects, more than {MAX_OBJECTS}")
    rows, faults, polygons = [], [], False
    for line in lines:
        try:
            columns = _columns(line)
            rows.append((_class_name(columns[0], names), _corners(columns[1:], keypoints=keypoints)))
        except Unusable as fault:
            faults.append(str(fault))
            continue
        polygons |= len(columns) > 5 and not keypoints
    if lines and not rows:  # it would be trained on as an image without objects
        raise Unusable(f"annotation has no readable object: {faults[0]}")
    if not lines:
        return _annotation([], [], "have an empty label file: background")
    return _annotation(rows, faults, *(["have polygons, read as their bounding boxes"] if polygons else []))


def is_label(file: Path) -> bool:
    """Return whether the first line of a file is a label."""
    try:
        lines = read_regular(file, max_bytes=MAX_BYTES).decode("utf-8-sig").split("\n", 1)
        _corners(_columns(lines[0])[1:], keypoints=False)
    except (OSError, UnicodeDecodeError, Unusable):
        return False
    return True


def _annotation(rows: list[Row], faults: list[str], *remarks: str) -> ImageAnnotation:
    return ImageAnnotation(functools.partial(_read_objects, rows, faults), upright=True, remarks=remarks)


def _read_objects(
    rows: list[Row], row_faults: list[str], height: int, width: int, class_names: tuple[str, ...]
) -> tuple[list[VocObject], list[str]]:
    objects, faults = [], list(row_faults)
    for name, (x1, y1, x2, y2) in rows:
        try:
            if name not in class_names:
                raise Unusable(f"object of unknown class {name!r}")
            box, was_clipped = clipped((x1 * width, y1 * height, x2 * width, y2 * height), height, width)
        except Unusable as fault:
            faults.append(str(fault))
            continue
        if was_clipped:
            faults.append("box clipped to the image")
        objects.append(VocObject(name=name, box=box))
    return objects, faults


def _columns(line: str) -> list[float]:
    try:
        columns = [float(text) for text in line.split()]
    except ValueError as error:
        raise Unusable("label with text that is no number") from error
    if "_" in line or not all(map(math.isfinite, columns)):  # Python would read 1_0 as 10
        raise Unusable("label with an unreadable number")
    return columns


def _class_name(column: float, names: Mapping[int, str]) -> str:
    if not column.is_integer() or int(column) not in names:
        raise Unusable(f"label of class {column:.10g}, which has no name")
    return names[int(column)]


def _corners(columns: list[float], *, keypoints: bool) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 of center x, center y, width, height, or of a polygon's x, y, x, y, ..."""
    count = len(columns)
    if count < 4 or (count > 4 and not keypoints and (count % 2 or count < 6)):
        raise Unusable(f"label with {count + 1} columns, neither a box (5) nor a polygon (7, 9, ...)")
    if max(map(abs, columns[:4] if keypoints else columns)) > MAX_FRACTION:
        raise Unusable("label in pixels, not in fractions of the image's size")
    if count == 4 or keypoints:
        x, y, width, height = columns[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(columns[::2]), min(columns[1::2]), max(columns[::2]), max(columns[1::2])
