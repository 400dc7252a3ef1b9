"""A folder of annotated images in any format: the interface that each format's reader has."""

import abc
import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from jaxdet.data.datasets.features import VocObject

EVERYTHING = "default"  # the one split of a folder that is not split; CVAT calls its list so

# Called with the image's height, width and the class names; returns the usable objects and a fault per other object.
ReadObjects = Callable[[int, int, tuple[str, ...]], tuple[list[VocObject], list[str]]]


@dataclasses.dataclass(frozen=True)
class ImageAnnotation:
    """The annotation of an image, before the image is read.

    Attributes:
      read_objects: see ReadObjects.
      size: (height, width) of the image as it was annotated; None where the annotation does not state it.
      upright: the boxes refer to the image as EXIF rotates it, and `size` is not needed.
      remarks: what the log counts, though nothing is wrong.
    """

    read_objects: ReadObjects
    size: tuple[int, int] | None = None
    upright: bool = False
    remarks: tuple[str, ...] = ()


UNANNOTATED = ImageAnnotation(lambda height, width, class_names: ([], []), upright=True)


class ListedImage(abc.ABC):
    """An image of a split; `listed` is its name there, which may lead to no file."""

    listed: str

    @abc.abstractmethod
    def find(self) -> tuple[str, Path]:
        """Return the image's name, which no other image of the split has, and its file; Unusable if there is none."""

    @abc.abstractmethod
    def is_annotated(self) -> bool:
        """Return whether there is an annotation, readable or not."""

    @abc.abstractmethod
    def annotation(self) -> ImageAnnotation:
        """Return the annotation of an image that `find` has found; Unusable if it is missing or cannot be read."""


class FolderFormat(abc.ABC):
    """A folder of annotated images in one format.

    Attributes:
      name: of the format, for the log.
      folder: absolute.
      one_based: boxes have VOC's whole 1-based numbers, and are stored so; others are stored as continuous float32.
      fixed_splits: a missing split is an error; else it is sampled.
    """

    name: str
    folder: Path
    one_based = False
    fixed_splits = False

    @abc.abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits as the folder has them; (EVERYTHING,) where it is not split."""

    @abc.abstractmethod
    def images(self, split: str) -> list[ListedImage]:
        """Return the images of one of `splits`, in a fixed order; InputError if it cannot be read or lists nothing."""

    @abc.abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Return the classes of all splits, label 1 first; InputError if there are none."""

    @abc.abstractmethod
    def files(self) -> Iterable[str]:
        """Return the paths, relative to the folder or absolute, of all files that a split may depend on, sorted."""

    def nearest(self, listed: str) -> str:
        """Return the image name most like one that is not found; '' where none is."""
        return ""


def fingerprint(folder: Path, files: Iterable[str], *settings: object) -> str:
    """Return a hash that changes when a file is added, removed or written, or when a setting changes."""
    digest = hashlib.sha256(repr((str(folder), settings)).encode())
    for file in files:
        digest.update(repr((file, *_size_and_time(folder / file))).encode())
    return digest.hexdigest()[:16]


def _size_and_time(file: Path) -> tuple[int, ...]:
    try:
        status = file.stat()
    except (OSError, ValueError):  # such as a dangling link or a NUL, reported when a split lists the image
        return ()
    return status.st_size, status.st_mtime_ns
