"""COCO JSON: one file for a folder of images, annotations/instances_train2017.json, or one in each split's folder."""

import functools
import logging
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from jaxdet.checks import InputError
from jaxdet.data.datasets.coco_file import CocoFile, CocoImage, is_coco, read_coco
from jaxdet.data.datasets.file_index import match_key
from jaxdet.data.datasets.folder_format import EVERYTHING, FolderFormat, ImageAnnotation, ListedImage
from jaxdet.data.datasets.folder_splits import image_id, usual_name
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.image_file import OTHER_SUFFIXES, SUFFIXES

log = logging.getLogger(__name__)

MAX_FOLDERS = 2  # above a JSON file


class Coco(FolderFormat):
    """A folder of images and COCO's JSON files, one per split."""

    name = "COCO JSON"

    def __init__(self, folder: Path, files: Iterable[str], json_files: Sequence[str]):
        """Assign the JSON files to splits.

        Args:
          folder: absolute.
          files: see file_index.list_files.
          json_files: those of the files that are COCO's.

        Raises:
          InputError: several JSON files may be one split's.
        """
        self.folder = folder
        self._images = [file for file in files if file.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))]
        self._splits = _splits(folder, json_files)
        self._contents: dict[str, CocoFile] = {}

    def splits(self) -> tuple[str, ...]:
        """Return the parts of the JSON files' names, or of their folders, that name splits."""
        return tuple(self._splits)

    def images(self, split: str) -> list[ListedImage]:
        """Return the images that the split's file lists, in its order."""
        path = self._splits[split]
        folders = _image_folders(path, split)
        content = self._read(path)
        if not content.images:
            raise InputError(f"devkit: {self.folder / path} lists no image; export it with its images.")
        return [_CocoListed(image, content, self, folders) for image in content.images]

    def class_names(self) -> tuple[str, ...]:
        """Return the categories of all files in the order of their ids."""
        names: dict[str, None] = {}
        groups: set[str] = set()
        for path in self._splits.values():
            content = self._read(path)
            names |= dict.fromkeys(content.categories.values())
            groups.update(content.groups)
        groups -= set(names)
        if groups:
            log.info("%s: left out as classes, because they only group others: %s", self.folder, ", ".join(groups))
        if not names:
            raise InputError(f"devkit: no JSON file in {self.folder} lists a category; export it with its categories.")
        return tuple(names)

    def files(self) -> Iterable[str]:
        """Return the images and the JSON files."""
        return [*self._images, *self._splits.values()]

    def find_image(self, file_name: str, folders: Sequence[str]) -> Path:
        """Return the file of a file_name in one of these folders, else the only file of its last part; Unusable."""
        name = file_name.replace("\\", "/")
        for folder in folders:
            paths = self._index.get(match_key(posixpath.normpath(posixpath.join(folder, name))), [])
            if len(paths) == 1:
                return self.folder / paths[0]
        paths = self._index.get(match_key("*/" + posixpath.basename(name)), [])
        if not paths:
            raise Unusable("image missing")
        if len(paths) > 1:
            raise Unusable(f"image may be any of {', '.join(paths[:3])}: give file_name its folder")
        return self.folder / paths[0]

    @functools.cached_property
    def _index(self) -> dict[str, list[str]]:
        """Path, and */ with its last part, in any letter case and Unicode form -> paths."""
        index = defaultdict(list)
        for path in self._images:
            index[match_key(path)].append(path)
            index[match_key("*/" + posixpath.basename(path))].append(path)
        return dict(index)

    def _read(self, path: str) -> CocoFile:
        if path not in self._contents:
            self._contents[path] = read_coco(self.folder / path)
        return self._contents[path]


class _CocoListed(ListedImage):
    def __init__(self, image: CocoImage, content: CocoFile, coco: Coco, folders: Sequence[str]):
        self.listed = image.listed
        self._image, self._content, self._coco, self._folders = image, content, coco, folders

    def find(self) -> tuple[str, Path]:
        if self._image.fault:
            raise Unusable(self._image.fault)
        return image_id(self.listed), self._coco.find_image(self.listed, self._folders)

    def is_annotated(self) -> bool:
        return self._content.annotated  # an image without annotations is one without objects

    def annotation(self) -> ImageAnnotation:
        return self._content.annotation(self._image)


def find_json_files(folder: Path, files: Iterable[str]) -> list[str]:
    """Return the files, by their paths in the folder, that begin as COCO's JSON does."""
    candidates = (file for file in files if file.lower().endswith(".json") and file.count("/") <= MAX_FOLDERS)
    return [file for file in candidates if is_coco(folder / file)]


def _splits(folder: Path, json_files: Iterable[str]) -> dict[str, str]:
    """Return split -> JSON file. COCO's own instances_*.json go before its captions and keypoints."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for file in sorted(json_files):
        by_split[_split_of(file)].append(file)
    splits = {}
    for split, candidates in by_split.items():
        preferred = [file for file in candidates if PurePosixPath(file).name.startswith("instances_")] or candidates
        if split == EVERYTHING and len(by_split) > 1:
            log.info("%s: not read, because others are named after splits: %s", folder, ", ".join(candidates))
            continue
        if len(preferred) > 1:
            raise InputError(
                f"devkit: the annotations of {folder} may be any of {', '.join(preferred[:10])}; name the file you "
                f"mean: --config.dataset.devkit={folder / preferred[0]}"
            )
        splits[split] = preferred[0]
    return splits


def _split_of(file: str) -> str:
    path = PurePosixPath(file)
    parts = [*re.split(r"[-_. ]", path.name), *reversed(path.parts[:-1])]
    return next((part for part in parts if usual_name(part)), EVERYTHING)


def _image_folders(path: str, split: str) -> list[str]:
    """Return the folders that a split's file_names may start from, the likeliest first."""
    beside = posixpath.dirname(path)
    above = posixpath.dirname(beside)
    homes = [beside, above] if beside else [beside]
    inner = ["", "images"] if split == EVERYTHING else ["", split, f"images/{split}", f"{split}/images", "images"]
    return [posixpath.join(home, part) for home in homes for part in inner]
