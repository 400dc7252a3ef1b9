"""Reading the images of a split in a folder: each is used with its usable objects, or skipped with a reason."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.data.datasets.features import VocObject
from jaxdet.data.datasets.folder_format import UNANNOTATED, ImageAnnotation, ListedImage
from jaxdet.data.datasets.xml_file import Unusable


@dataclasses.dataclass(frozen=True)
class UsedImage:
    """An image that can be used.

    Attributes:
      listed: its name in the split.
      name, file: see ListedImage.find.
      encoded: the bytes to store, which every decoder shows as the annotator saw the image.
      size: (height, width) of the stored image.
      objects: the usable ones.
      faults: of each other object, or of what was corrected.
      remarks: see ImageAnnotation.
    """

    listed: str
    name: str
    file: Path
    encoded: bytes
    size: tuple[int, int]
    objects: list[VocObject]
    faults: list[str]
    remarks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SkippedImage:
    """An image that cannot be used, by its name in the split, and why."""

    listed: str
    reason: str


def read_images(
    images: Iterable[ListedImage], class_names: tuple[str, ...], *, annotated: bool, max_pixels: int
) -> Iterator[UsedImage | SkippedImage]:
    """Read and decode the images of a split in their order.

    Args:
      images: see folder_splits.choose_images.
      class_names: objects of other classes are faults.
      annotated: False reads no annotations.
      max_pixels: larger images are skipped before they are decoded.
    """
    seen: set[str] = set()
    for image in images:
        try:
            name, file = image.find()
            if name in seen:
                raise Unusable("listed twice")
            seen.add(name)
            annotation = image.annotation() if annotated else UNANNOTATED
            encoded, size = _stored_image(file, annotation, max_pixels)
        except Unusable as error:
            yield SkippedImage(image.listed, str(error))
            continue
        objects, faults = annotation.read_objects(*size, class_names)
        yield UsedImage(image.listed, name, file, encoded, size, objects, faults, annotation.remarks)


def _stored_image(file: Path, annotation: ImageAnnotation, max_pixels: int) -> tuple[bytes, tuple[int, int]]:
    """Return the bytes to store, which every decoder shows as the annotator saw the image, and its (height, width).

    An EXIF-rotated image is stored upright or unrotated, whichever fits the annotation's size. If both fit (a square,
    or half a turn), or the annotation is of the upright image, it is stored upright: so annotation tools and browsers
    show it.
    """
    try:
        encoded = image_file.read_content(file, name=file.name, max_pixels=max_pixels)
        image = image_file.read(encoded, name=file.name, max_pixels=max_pixels)
    except InputError as error:
        raise Unusable(str(error).removeprefix(f"image {file.name}: ").removesuffix(".")) from error
    upright, (height, width) = image.upright(), image.pixels.shape[:2]
    annotated = upright.shape[:2] if annotation.upright else annotation.size
    if annotated is None and upright.shape[:2] != (height, width):
        raise Unusable("rotated by EXIF, and its annotation has no size that tells whether its boxes are rotated too")
    if annotated in (None, upright.shape[:2]):
        pixels, as_is = upright, image.plain and image.orientation == 1
    elif annotated == (height, width):
        pixels, as_is = image.pixels, image.plain
    else:
        raise Unusable(f"is {width} x {height}, but its annotation says {annotated[1]} x {annotated[0]}")
    return encoded if as_is else _png(pixels), (pixels.shape[0], pixels.shape[1])


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
