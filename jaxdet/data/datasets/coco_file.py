"""Reading COCO's instances JSON (cocodataset.org, data format): its images, categories and boxes, faults by name."""

import dataclasses
import functools
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.data.class_names import normalise
from jaxdet.data.datasets.continuous_box import clipped, finite
from jaxdet.data.datasets.features import VocObject
from jaxdet.data.datasets.folder_format import ImageAnnotation
from jaxdet.data.datasets.voc_xml import MAX_OBJECTS
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.io.regular_file import check_regular, read_regular

MAX_BYTES = 1_000_000_000  # train2017 has 470 million
HEAD_BYTES = 2**16
FIRST_KEY = re.compile(rb'\s*\{\s*"(images|annotations|categories)"\s*:')
PREAMBLE = re.compile(rb'\s*\{\s*"(info|licenses)"\s*:')
UNREAD = ("segmentation", "keypoints", "caption", "license", "coco_url", "flickr_url", "date_captured")  # much memory


@dataclasses.dataclass(frozen=True)
class CocoImage:
    """An image as a JSON file has it.

    Attributes:
      listed: file_name, or what stands for it in the log.
      fault: why it cannot be used; '' if it can.
      size: (height, width); None where the file does not state it.
      annotations: its annotations, unchecked.
    """

    listed: str
    fault: str
    size: tuple[int, int] | None
    annotations: tuple[dict[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class CocoFile:
    """The content of a JSON file.

    Attributes:
      images: in the file's order; then an entry with a fault for each image that only annotations name.
      categories: id -> class name, in the order of ids; names of groups, which no annotation has, are left out.
      unusable: id -> why a category's name cannot be used.
      groups: the names of groups.
      annotated: the file has annotations.
    """

    images: list[CocoImage]
    categories: dict[str, str]
    unusable: dict[str, str]
    groups: tuple[str, ...]
    annotated: bool

    def annotation(self, image: CocoImage) -> ImageAnnotation:
        """Return the annotation of an image; an image without annotations has no objects.

        Raises:
          Unusable: it has more than MAX_OBJECTS annotations, or none that can be read.
        """
        entries = image.annotations
        if len(entries) > MAX_OBJECTS:
            raise Unusable(f"annotation has {len(entries)} objects, more than {MAX_OBJECTS}")
        faults = []
        for entry in entries:
            try:
                self._class_name(entry)
                _numbers(entry)
            except Unusable as fault:
                faults.append(str(fault))
        if entries and len(faults) == len(entries):  # it would be trained on as an image without objects
            raise Unusable(f"annotation has no readable object: {faults[0]}")
        return ImageAnnotation(functools.partial(self._read_objects, entries), size=image.size)

    def _read_objects(
        self, entries: tuple[dict[str, Any], ...], height: int, width: int, class_names: tuple[str, ...]
    ) -> tuple[list[VocObject], list[str]]:
        objects, faults = [], []
        for entry in entries:
            try:
                name = self._class_name(entry)
                if name not in class_names:
                    raise Unusable(f"object of unknown class {name!r}")
                x, y, w, h = _numbers(entry)
                box, was_clipped = clipped((x, y, x + w, y + h), height, width)
            except Unusable as fault:
                faults.append(str(fault))
                continue
            if was_clipped:
                faults.append("box clipped to the image")
            flags = [entry.get(key, 0) for key in ("iscrowd", "ignore")]
            if any(flag not in (0, 1) for flag in flags):
                faults.append("object whose iscrowd or ignore is neither 0 nor 1, taken as 0")
            objects.append(VocObject(name=name, box=box, difficult=1 in flags))
        return objects, faults

    def _class_name(self, entry: dict[str, Any]) -> str:
        category = _id(entry.get("category_id"))
        if category in self.unusable:
            raise Unusable(f"object whose class name {self.unusable[category]}")
        if category not in self.categories:
            raise Unusable(f"object of category_id {_shown(entry.get('category_id'))}, which categories does not list")
        return self.categories[category]


def is_coco(path: Path) -> bool:
    """Return whether a file begins as COCO's JSON does. Whether the rest can be read shows when it is read."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")
    except OSError:
        return False
    whole, first = len(head) < HEAD_BYTES // 4, FIRST_KEY.match(head)  # UTF-16 has half as many characters
    if b'"images"' in head:
        return bool(first or b'"annotations"' in head or b'"categories"' in head)
    return not whole and bool(first or PREAMBLE.match(head))


def read_coco(path: Path) -> CocoFile:
    """Parse a JSON file.

    Raises:
      InputError: it cannot be read, has more than MAX_BYTES, is no JSON, or lacks its lists of images and categories.
    """
    content = _load(path)
    images, annotations = _list(path, content, "images"), _list(path, content, "annotations")
    names, groups = _categories(path, _list(path, content, "categories"), annotations)
    categories, unusable = {}, {}
    for number, name in names.items():
        try:
            categories[number] = normalise(name)
        except ValueError as error:
            unusable[number] = str(error)
        if not categories.get(number, "unusable"):
            unusable[number] = "is empty"
            del categories[number]
    return CocoFile(_images(images, annotations), categories, unusable, groups, annotated=bool(annotations))


def _list(path: Path, content: dict[str, Any], key: str) -> list[Any]:
    entries = content.get(key, [] if key == "annotations" else None)  # an image_info file has none
    if not isinstance(entries, list):
        raise _refused(path, f"its {key!r} is no list")
    return entries


def _load(path: Path) -> dict[str, Any]:
    def without_unread(entry: dict[str, Any]) -> dict[str, Any]:
        for key in UNREAD:
            entry.pop(key, None)
        return entry

    try:
        content = json.loads(read_regular(path, max_bytes=MAX_BYTES), object_hook=without_unread)
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise _refused(path, str(error)) from error
    if not isinstance(content, dict):
        raise _refused(path, "it holds no object with images, annotations and categories")
    return content


def _refused(path: Path, reason: str) -> InputError:
    return InputError(f"devkit: {path} must be COCO's JSON, got another file ({reason}); export it again.")


def _categories(path: Path, categories: list, annotations: list) -> tuple[dict[str, str], tuple[str, ...]]:
    names: dict[str, str] = {}
    parents = defaultdict(set)
    for entry in categories:
        number, name = (_id(entry.get("id")), entry.get("name")) if isinstance(entry, dict) else ("", None)
        if not number or not isinstance(name, str):
            raise _refused(path, "a category has no id or name")
        if names.setdefault(number, name) != name:
            raise _refused(path, f"category {number} is both {names[number][:80]!r} and {name[:80]!r}")
        if isinstance(entry.get("supercategory"), str):
            parents[entry["supercategory"]].add(number)
    used = {_id(entry.get("category_id")) for entry in annotations if isinstance(entry, dict)}
    # Roboflow lists the project's name as a category of its own, above the others.
    groups = [number for number, name in names.items() if number not in used and parents[name] - {number}]
    ordered = sorted(names, key=lambda number: (0, int(number)) if re.fullmatch(r"-?\d{1,18}", number) else (1, 0))
    class_names = {number: names[number] for number in ordered if number not in groups}
    return class_names, tuple(names[number] for number in groups)


def _images(images: list, annotations: list) -> list[CocoImage]:
    of_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    without_image = 0
    for entry in annotations:
        number = _id(entry.get("image_id")) if isinstance(entry, dict) else ""
        if number:
            of_image[number].append(entry)
        else:
            without_image += 1
    ids = Counter(_id(entry.get("id")) for entry in images if isinstance(entry, dict))
    listed = []
    for i, entry in enumerate(images):
        entry = entry if isinstance(entry, dict) else {}
        number, name = _id(entry.get("id")), entry.get("file_name")
        fault = ""
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            fault, name = "image without file_name", f"images[{i}]"
        elif not number:
            fault = "image without id"
        elif ids[number] > 1:
            fault = "image whose id others have too"
        own = tuple(of_image.get(number, ()))
        listed.append(CocoImage(name.strip(), fault, _size(entry), own))
    unlisted = [f"image_id {number[:40]}" for number in of_image if number not in ids]
    listed += [CocoImage(name, "image has annotations but is not in images", None, ()) for name in unlisted]
    if without_image:
        listed.append(CocoImage(f"{without_image} annotations", "annotations without image_id", None, ()))
    return listed


def _id(value: object) -> str:
    """Return an id, which some tools write as text, as text; '' for what is no id."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    sides: list[Any] = [entry.get("height"), entry.get("width")]
    if finite(sides) and min(sides) >= 1:
        return round(sides[0]), round(sides[1])
    return None


def _numbers(entry: dict[str, Any]) -> list[float]:
    """Return x, y, width and height of the box."""
    bbox = entry.get("bbox")
    if bbox is None:
        raise Unusable("object without bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise Unusable("bbox that is not four numbers")
    if not finite(bbox):
        raise Unusable("bbox with an unreadable number")
    return [float(number) for number in bbox]


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str | int | float) else f"of type {type(value).__name__}"
