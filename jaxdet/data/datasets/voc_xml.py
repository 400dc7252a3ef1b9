"""Parsing VOC's XML annotations; every fault is reported by name."""

import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from jaxdet.checks import InputError
from jaxdet.data.class_names import normalise
from jaxdet.data.datasets.features import POSES, VocObject
from jaxdet.data.datasets.folder_format import ImageAnnotation
from jaxdet.data.datasets.xml_file import Unusable, read_root

MAX_OBJECTS = 10_000  # per image; VOC has at most 62
# VOC's elements besides <object>. Some contain others, none of which is an object.
FIELDS = frozenset(("folder", "filename", "path", "source", "owner", "size", "segmented", "segment", "depth"))
# Elements that hold objects in other formats, or in VOC's written in another way.
OBJECT_LIKE = frozenset(
    (
        *("object", "objects", "obj", "bndbox", "box", "boxes", "bbox", "robndbox", "rectangle", "shape", "shapes"),
        *("polygon", "polyline", "points", "track", "image", "images", "annotation", "annotations", "item"),
        *("instance", "label", "labels", "region", "target", "cuboid", "ellipse", "tag", "mask"),
    )
)
UNREADABLE_BOX = "box with a missing or unreadable number"
TRUE, FALSE = ("1", "true", "yes", "y"), ("", "0", "false", "no", "n", "unspecified", "none")


def read_xml(source: Path | bytes) -> Element:
    """Parse an annotation, from a file or its content, and return its root element.

    Raises:
      Unusable: see xml_file.read_root; it is not VOC's XML, or may have objects that VOC's reader would not see; it has
        more than MAX_OBJECTS objects, or objects of which none can be read.
    """
    root = read_root(source)
    if root.tag != "annotation":
        raise Unusable(f"annotation is not in VOC's format: its root is {_shown(root)}, not <annotation>")
    objects = root.findall("object")
    if not objects and not any(element.tag in FIELDS for element in root):
        raise Unusable("annotation is not in VOC's format: it has no <object>, <filename> or <size>")
    for element in root:
        if element.tag == "object" or element.tag in FIELDS:
            continue
        hidden = [inner for inner in element.iter() if _may_be_object(inner)]
        if hidden:
            raise Unusable(f"annotation is not in VOC's format: {_shown(hidden[0])} is not an <object> of the root")
        if not objects and (len(element) or element.attrib):  # an unknown structure is not an image without objects
            raise Unusable(f"annotation is not in VOC's format: unknown element {_shown(element)}, and no <object>")
    count = sum(max(len(element.findall("bndbox")), 1) for element in objects)
    if count > MAX_OBJECTS:
        raise Unusable(f"annotation has {count} objects, more than {MAX_OBJECTS}")
    faults = [_structural_fault(element) for element in objects]
    if objects and all(faults):  # it would be trained on as an image without objects
        raise Unusable(f"annotation has no readable object: {faults[0]}")
    return root


def read_annotation(file: Path) -> ImageAnnotation:
    """Parse the annotation of an image; Unusable as in read_xml."""
    root = read_xml(file)
    return ImageAnnotation(functools.partial(read_objects, root), size=annotated_size(root))


def find_class_names(folder: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Return the sorted class names in annotations, given by their paths relative to the folder.

    Raises:
      InputError: no annotation names an object; the error has the first fault.
    """
    names: set[str] = set()
    faults = []
    for file in files:
        try:
            names.update(object_names(read_xml(folder / file)))
        except Unusable as fault:  # reported when a split lists the image
            faults.append(f"{file}: {fault}")
    if not names:
        cause = f"; {len(faults)} of {len(files)} cannot be used, the first is {faults[0]}" if faults else ""
        raise InputError(f"devkit: no annotation in {folder} names an object{cause}; VOC's XML has <object><name>.")
    return tuple(sorted(names))


def object_names(root: Element) -> list[str]:
    """Return the class names of the objects (without parts, such as VOC's heads and hands); unusable ones left out."""
    names = []
    for element in root.findall("object"):
        try:
            names.append(_class_name(element))
        except Unusable:
            continue  # reported by read_objects
    return names


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
    """Return the usable objects of an image of height x width pixels, clipped to it, and their faults.

    An <object> with several <bndbox> is that many objects of its class. The boxes of its <part>s are ignored.
    """
    objects: list[VocObject] = []
    faults: list[str] = []
    for element in root.findall("object"):
        try:
            name = _class_name(element)
            corners = _corners(element)
            if name not in class_names:
                raise Unusable(f"object of unknown class {name!r}")
        except Unusable as fault:
            faults.append(str(fault))
            continue
        pose = _text(element, "pose").lower()
        flags = {flag: _flag(element, flag, faults) for flag in ("truncated", "difficult")}
        for each in corners:
            try:
                box, clipped = _box(each, height, width)
            except Unusable as fault:
                faults.append(str(fault))
                continue
            if clipped:
                faults.append("box clipped to the image")
            objects.append(VocObject(name=name, box=box, pose=pose if pose in POSES else "unspecified", **flags))
    return objects, faults


def _structural_fault(element: Element) -> str:
    """Return why an <object> has no class name or no box with four numbers; '' if it has both."""
    try:
        _class_name(element)
        readable = [not any(map(math.isnan, _numbers(each))) for each in _corners(element)]
    except Unusable as fault:
        return str(fault)
    return "" if any(readable) else UNREADABLE_BOX


def _class_name(element: Element) -> str:
    """Return the normalised class name of an <object>."""
    names = element.findall("name")
    if len(names) > 1:
        raise Unusable("object with more than one <name>")
    if names and len(names[0]):
        raise Unusable("object with elements inside its <name>")
    try:
        name = normalise(names[0].text or "") if names else ""
    except ValueError as error:
        raise Unusable(f"object whose class name {error}") from error
    if not name:
        raise Unusable("object without <name>")
    return name


def _corners(element: Element) -> list[Element]:
    """Return the <bndbox> elements of an <object>, at least one."""
    hidden = [inner for child in element if child.tag not in ("part", "name") for inner in child.iter("object")]
    if hidden:
        raise Unusable("object inside another <object>")
    corners = element.findall("bndbox")
    if not corners:
        others = sorted({_local_name(child) for child in element} & (OBJECT_LIKE | {"bndbox"}))
        raise Unusable("object without <bndbox>" + (f", with <{others[0]}>" if others else ""))
    return corners


def _box(corners: Element, height: int, width: int) -> tuple[tuple[float, float, float, float], bool]:
    """Return the continuous box of a <bndbox>, clipped to the image, and whether clipping changed it.

    VOC's numbers are 1-based and inclusive, so a one-pixel object has xmin == xmax. Annotation tools write such boxes
    after an accidental click; they are refused as boxes of zero area.
    """
    xmin, ymin, xmax, ymax = _numbers(corners)
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise Unusable(UNREADABLE_BOX)
    if xmax <= xmin or ymax <= ymin:
        raise Unusable("zero-area or inverted box")
    left, top, right, bottom = max(xmin, 1.0), max(ymin, 1.0), min(xmax, float(width)), min(ymax, float(height))
    if right <= left or bottom <= top:
        raise Unusable("box outside the image")
    return (left - 1, top - 1, right, bottom), (left, top, right, bottom) != (xmin, ymin, xmax, ymax)


def _numbers(corners: Element) -> list[float]:
    """Return xmin, ymin, xmax and ymax of a <bndbox>; NaN for one that is missing or unreadable."""
    return [_number(corners, key) for key in ("xmin", "ymin", "xmax", "ymax")]


def _flag(element: Element, key: str, faults: list[str]) -> bool:
    """Return whether a flag of an <object> is set; a value that is neither yes nor no is a fault and counts as no."""
    text = _text(element, key)
    if text.lower() not in TRUE + FALSE:
        faults.append(f"object with <{key}> {text[:20]!r}, taken as 0")
    return text.lower() in TRUE


def _text(element: Element, key: str) -> str:
    return (element.findtext(key) or "").strip()


def _number(element: Element, key: str) -> float:
    """Return the number in an element; NaN if there is none, or more than one such element."""
    text = _text(element, key)
    try:
        # Python would read 1_0 as 10.
        return float(text) if len(element.findall(key)) == 1 and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _may_be_object(element: Element) -> bool:
    """Return whether an element that is no <object> of the root may hold an object or its box."""
    name = _local_name(element)
    holds = len(element) or element.attrib or len(re.findall(r"\d+", element.text or "")) >= 4
    return name == "xmin" or (name in OBJECT_LIKE and bool(holds))


def _local_name(element: Element) -> str:
    """Return an element's tag without its namespace, in lower case."""
    return str(element.tag).rpartition("}")[2].lower()


def _shown(element: Element) -> str:
    return f"<{str(element.tag)[:80]}>"
