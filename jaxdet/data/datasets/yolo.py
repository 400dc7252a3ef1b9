"""YOLO: a label file per image, beside it or in labels/ beside images/; data.yaml or classes.txt names the classes."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePath

from jaxdet.checks import InputError
from jaxdet.data.datasets.file_index import list_files, list_names, match_key
from jaxdet.data.datasets.folder_format import EVERYTHING, FolderFormat, ImageAnnotation, ListedImage
from jaxdet.data.datasets.folder_splits import image_id, usual_name
from jaxdet.data.datasets.voc_layout import MAX_LIST_BYTES
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.datasets.yolo_labels import is_label, read_labels
from jaxdet.data.datasets.yolo_yaml import DataYaml, locate, parse_classes, read_data_yaml
from jaxdet.data.image_file import OTHER_SUFFIXES, SUFFIXES
from jaxdet.io.regular_file import read_regular

IMAGES = (*SUFFIXES, *OTHER_SUFFIXES)
CLASS_FILES = ("classes.txt", "obj.names", "classes.names")
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
HEAD_BYTES = 100_000
LABELS_TRIED = 20


class Yolo(FolderFormat):
    """A folder of images with YOLO's label files."""

    name = "YOLO"

    def __init__(self, folder: Path, files: Iterable[str], classes: Path):
        """Read the class names.

        Args:
          folder: absolute.
          files: see file_index.list_files.
          classes: the data.yaml, or a file with one class name per line.

        Raises:
          InputError: see read_data_yaml.
        """
        self.folder = folder
        self._files = list(files)
        if classes.suffix.lower() in (".yaml", ".yml"):
            self._data = read_data_yaml(classes)
        else:
            self._data = DataYaml(parse_classes(classes), {}, "", keypoints=False)
        self._classes = classes
        self._labels = _LabelFiles()

    def splits(self) -> tuple[str, ...]:
        """Return the splits of the data.yaml; without any there, the folders that are called like splits."""
        return tuple(self._data.splits or self._split_folders())

    def images(self, split: str) -> list[ListedImage]:
        """Return the images in a split's folders or lists, and the labels in these folders without an image."""
        if not self._data.splits:
            sources, files, whole = [self.folder], self._split_folders()[split], True
        else:
            sources = [self._located(split, written) for written in self._data.splits[split]]
            files = [file for source in sources for file in _image_files(source, self._root())]
            whole = all(source.is_dir() for source in sources)
        if not files:
            listed = ", ".join(map(str, sources))
            raise InputError(f"devkit: split {split!r} of {self._classes} has no image in {listed}; correct its path.")
        images: list[ListedImage] = [_YoloImage(self._name(file, sources), file, self) for file in dict.fromkeys(files)]
        if whole:
            images += [_Unmatched(os.path.relpath(file, self.folder)) for file in self._labels.unmatched(files)]
        return images

    def class_names(self) -> tuple[str, ...]:
        """Return the names in the order of their indices; two indices of one name are one class."""
        return tuple(dict.fromkeys(self._data.names.values()))

    def files(self) -> Iterable[str]:
        """Return the folder's images and texts, and those elsewhere that its splits lead to."""
        suffixes = (".txt", ".yaml", ".yml", ".names", *IMAGES)
        files = [file for file in self._files if file.lower().endswith(suffixes)]
        for written in sorted(sum(self._data.splits.values(), ())):
            source = locate(written, self._data.root, self._classes.parent)
            if source is not None and source.is_file():
                files += map(str, self._listed_elsewhere(source))
            elif source is not None and self.folder not in source.parents:
                files += [str(home / file) for home in (source, *_labels_folders(source)) for file in list_files(home)]
        return files

    def annotation(self, image: Path) -> ImageAnnotation:
        """Return the annotation of an image; Unusable as in read_labels."""
        return read_labels(self._labels.find(image), self._data.names, keypoints=self._data.keypoints)

    def is_annotated(self, image: Path) -> bool:
        """Return whether an image has a label file."""
        return bool(self._labels.candidates(image))

    def _listed_elsewhere(self, source: Path) -> list[Path]:
        """Return a list of images, the images that it names, and their labels: those that are not in the folder."""
        try:
            images = [image for image in _image_files(source, self._root()) if self.folder not in image.parents]
        except InputError:  # reported when a split is read from it
            images = []
        own = [] if self.folder in source.parents else [source]
        return [*own, *images, *(label for image in images for label in self._labels.candidates(image))]

    def _split_folders(self) -> dict[str, list[Path]]:
        folders: dict[str, list[Path]] = defaultdict(list)
        for file in self._files:
            if file.lower().endswith(IMAGES):
                split, _, inner = image_id(file).partition("/")
                folders[split if inner and usual_name(split) else EVERYTHING].append(self.folder / file)
        strays = folders.get(EVERYTHING)
        if strays and len(folders) > 1:
            names = ", ".join(sorted(set(folders) - {EVERYTHING}))
            raise InputError(
                f"devkit: {self.folder} has the splits {names}, and {len(strays)} images outside of them (the first is "
                f"{strays[0]}); move each into a split, or name a folder without splits."
            )
        return folders

    def _root(self) -> Path:
        return self._classes.parent / self._data.root

    def _located(self, split: str, written: str) -> Path:
        path = locate(written, self._data.root, self._classes.parent)
        if path is None:
            raise InputError(
                f"devkit: {split} of {self._classes} must be a folder or a list of images, got {written[:200]!r}, "
                f"which is not in {self._root()} or {self._classes.parent}; correct the path."
            )
        return path

    def _name(self, file: Path, sources: list[Path]) -> str:
        """Return an image's id below the folder, without the folder of its split."""
        inside = self.folder in file.parents
        base = self.folder if inside else os.path.commonpath([*map(str, sources), str(file.parent)])
        split, _, inner = (name := image_id(os.path.relpath(file, base))).partition("/")
        return inner if inner and usual_name(split) else name


class _YoloImage(ListedImage):
    def __init__(self, listed: str, file: Path, yolo: Yolo):
        self.listed, self._file, self._yolo = listed, file, yolo

    def find(self) -> tuple[str, Path]:
        return self.listed, self._file

    def is_annotated(self) -> bool:
        return self._yolo.is_annotated(self._file)

    def annotation(self) -> ImageAnnotation:
        return self._yolo.annotation(self._file)


class _Unmatched(ListedImage):
    """A label file without an image."""

    def __init__(self, listed: str):
        self.listed = listed

    def find(self) -> tuple[str, Path]:
        raise Unusable("image missing")

    def is_annotated(self) -> bool:
        return True

    def annotation(self) -> ImageAnnotation:
        raise Unusable("image missing")


class _LabelFiles:
    """The label files of images: in labels/ beside images/, else beside the image; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def find(self, image: Path) -> Path | None:
        """Return an image's label file, in any letter case; None if it has none; Unusable where several fit."""
        files = self.candidates(image)
        same = [file for file in files if file.name == f"{image.stem}.txt"]
        if len(files) > 1 and not same:
            names = ", ".join(file.name for file in files[:3])
            raise Unusable(f"annotation may be any of {names}: use the image's letter case")
        return next(iter(same or files), None)

    def candidates(self, image: Path) -> list[Path]:
        """Return the label files of an image's name, in any letter case, in the first folder that has any."""
        for folder in (*_labels_folders(image.parent), image.parent):
            if names := self._names(folder).get(match_key(image.stem)):
                return [folder / name for name in names]
        return []

    def unmatched(self, images: Iterable[Path]) -> list[Path]:
        """Return the label files without an image, in the folders where the labels of these images are looked for."""
        stems: dict[Path, set[str]] = defaultdict(set)
        for image in images:
            for folder in (*_labels_folders(image.parent), image.parent):
                stems[folder].add(match_key(image.stem))
        return [
            folder / name
            for folder, used in sorted(stems.items())
            for key, names in sorted(self._names(folder).items())
            if key not in used
            for name in names
            if is_label(folder / name)
        ]

    def _names(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = defaultdict(list)
            for name in list_names(folder):
                if name.lower().endswith(".txt"):
                    names[match_key(name[:-4])].append(name)
            self._listed[folder] = dict(names)
        return self._listed[folder]


def find_class_files(folder: Path, files: Iterable[str]) -> list[str]:
    """Return the files that name the classes of a YOLO data set: each data.yaml, else each classes.txt by labels."""
    files = list(files)
    yamls = [file for file in files if "/" not in file and file.lower().endswith((".yaml", ".yml"))]
    with_classes = [file for file in yamls if _names_classes(folder / file)]
    usual = [file for file in with_classes if file.lower() in YAML_NAMES]
    if with_classes:
        return usual or with_classes
    return [file for file in files if PurePath(file).name.lower() in CLASS_FILES and file.count("/") <= 2]


def has_labels(folder: Path, files: Iterable[str]) -> bool:
    """Return whether a text file of an image's name is a label file."""
    files = list(files)
    images = {match_key(image_id(file)) for file in files if file.lower().endswith(SUFFIXES)}
    texts = [file for file in files if file.lower().endswith(".txt") and match_key(image_id(file)) in images]
    return any(is_label(folder / text) for text in texts[:LABELS_TRIED])


def _names_classes(path: Path) -> bool:
    if path.name.lower() in YAML_NAMES:
        return True
    try:
        return re.search(rb"(?m)^names\s*:", read_regular(path, max_bytes=HEAD_BYTES)) is not None
    except OSError:
        return False


def _labels_folders(folder: Path) -> list[Path]:
    """Return the path of labels/ for a folder images/, or one below it; [] for other folders."""
    parts = folder.parts
    places = [i for i, part in enumerate(parts) if part.casefold() == "images"]
    return [Path(*parts[: places[-1]], "labels", *parts[places[-1] + 1 :])] if places else []


def _image_files(source: Path, root: Path) -> list[Path]:
    """Return the images in a folder, or those that a text file lists, one path per line.

    Raises:
      InputError: the list cannot be read.
    """
    if source.is_dir():
        return [source / file for file in list_files(source) if file.lower().endswith(IMAGES)]
    try:
        lines = read_regular(source, max_bytes=MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"devkit: {source} cannot be read ({error.strerror}); replace the file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"devkit: {source} must be UTF-8 text, got {error}; save the list as UTF-8.") from error
    written = [line.strip() for line in lines if line.strip()]
    return [locate(line, str(root), source.parent) or source.parent / line for line in written]
