"""Parsing VOC's XML annotations; every fault is reported by name."""

import math
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from jaxdet.data.datasets.features import POSES, VocObject


class Unusable(Exception):
    """An image or an object cannot be used. The message is the reason shown in the summary."""


def read_xml(file: Path | BinaryIO) -> Element:
    """Parse an annotation and return its root element.

    Raises:
      Unusable: it does not parse, or it has XML entities.
    """
    try:
        root = defusedxml.ElementTree.parse(file).getroot()
    except DefusedXmlException as error:
        raise Unusable("annotation carries XML entities") from error
    except (ParseError, ValueError, LookupError, OSError) as error:
        raise Unusable("annotation does not parse") from error
    if root is None:
        raise Unusable("annotation does not parse")
    return root


def object_names(root: Element) -> list[str]:
    """Return the class names of the objects (without parts, such as VOC's heads and hands)."""
    names = [_text(element, "name") for element in root.findall("object")]
    return [name for name in names if name]


def annotated_size(root: Element) -> tuple[int, int] | None:
    """Return the (height, width) of the annotated image; None if the annotation does not state it."""
    size = root.find("size")
    if size is None:
        return None
    height, width = _number(size, "height"), _number(size, "width")
    if not (1 <= height < math.inf and 1 <= width < math.inf):
        return None
    return round(height), round(width)


def read_objects(
    root: Element, height: int, width: int, class_names: tuple[str, ...]
) -> tuple[list[VocObject], list[str]]:
    """Return the usable objects of an image of height x width pixels, clipped to it, and their faults."""
    objects, faults = [], []
    for element in root.findall("object"):
        try:
            box, clipped = _box(element, height, width)
            name = _text(element, "name")
            if name not in class_names:
                raise Unusable(f"object of unknown class {name!r}")
        except Unusable as fault:
            faults.append(str(fault))
            continue
        if clipped:
            faults.append("box clipped to the image")
        pose = _text(element, "pose").lower()
        objects.append(
            VocObject(
                name=name,
                box=box,
                pose=pose if pose in POSES else "unspecified",
                truncated=_text(element, "truncated") == "1",
                difficult=_text(element, "difficult") == "1",
            )
        )
    return objects, faults


def _box(element: Element, height: int, width: int) -> tuple[tuple[float, float, float, float], bool]:
    """Return the continuous box clipped to the image, and whether clipping changed it.

    VOC's numbers are 1-based and inclusive, so a one-pixel object has xmin == xmax. Annotation tools write such boxes
    after an accidental click; they are refused as boxes of zero area.
    """
    corners = element.find("bndbox")
    if corners is None:
        raise Unusable("object without <bndbox>")
    xmin, ymin, xmax, ymax = (_number(corners, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise Unusable("box with a missing or unreadable number")
    if xmax <= xmin or ymax <= ymin:
        raise Unusable("zero-area or inverted box")
    left, top, right, bottom = max(xmin, 1.0), max(ymin, 1.0), min(xmax, float(width)), min(ymax, float(height))
    if right <= left or bottom <= top:
        raise Unusable("box outside the image")
    return (left - 1, top - 1, right, bottom), (left, top, right, bottom) != (xmin, ymin, xmax, ymax)


def _text(element: Element, key: str) -> str:
    return (element.findtext(key) or "").strip()


def _number(element: Element, key: str) -> float:
    """Return the number in an element; NaN if there is none."""
    try:
        return float(_text(element, key))
    except ValueError:
        return math.nan
