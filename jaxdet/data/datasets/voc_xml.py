"""VOC's XML annotations, with every fault named."""

import math
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from jaxdet.data.datasets.features import POSES, VocObject


class Unusable(Exception):
    """Why an image or an object cannot be used: the reason a person reads in the summary."""


def read_xml(file: Path | BinaryIO) -> Element:
    """The root of an annotation; entities are refused.

    Raises:
        Unusable: it does not parse.
    """
    try:
        return defusedxml.ElementTree.parse(file).getroot()
    except DefusedXmlException as error:
        raise Unusable("annotation carries XML entities") from error
    except (ParseError, ValueError, LookupError, OSError) as error:
        raise Unusable("annotation does not parse") from error


def object_names(root: Element) -> list[str]:
    """Class names of the objects (parts, such as VOC's heads and hands, are not objects)."""
    names = [_text(thing, "name") for thing in root.findall("object")]
    return [name for name in names if name]


def annotated_size(root: Element) -> tuple[int, int] | None:
    """The (height, width) the boxes were drawn on; None where the annotation does not say."""
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
    """The usable objects of an image of height x width pixels, clipped to it, and a remark for each fault met."""
    objects, remarks = [], []
    for thing in root.findall("object"):
        try:
            box, clipped = _box(thing, height, width)
            name = _text(thing, "name")
            if name not in class_names:
                raise Unusable(f"object of unknown class {name!r}")
        except Unusable as fault:
            remarks.append(str(fault))
            continue
        if clipped:
            remarks.append("box clipped to the image")
        pose = _text(thing, "pose").lower()
        objects.append(
            VocObject(
                name=name,
                box=box,
                pose=pose if pose in POSES else "unspecified",
                truncated=_text(thing, "truncated") == "1",
                difficult=_text(thing, "difficult") == "1",
            )
        )
    return objects, remarks


def _box(thing: Element, height: int, width: int) -> tuple[tuple[float, float, float, float], bool]:
    """The continuous box clipped to the image, and whether clipping changed it.

    VOC's numbers are 1-based and inclusive, so that a one-pixel object has xmin == xmax; annotation tools write such
    boxes for a slip of the mouse, and they are refused as zero-area ones.
    """
    corners = thing.find("bndbox")
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
    """NaN where there is no number."""
    try:
        return float(_text(element, key))
    except ValueError:
        return math.nan
