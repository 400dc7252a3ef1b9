"""VOC's XML without lists of splits: beside the images, or in annotations/ and images/; train/ and val/ are splits."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from jaxdet.checks import InputError
from jaxdet.data.datasets import voc_xml
from jaxdet.data.datasets.file_index import match_key
from jaxdet.data.datasets.folder_format import EVERYTHING, FolderFormat, ImageAnnotation, ListedImage
from jaxdet.data.datasets.folder_splits import ANNOTATION_FOLDERS, image_id, usual_name
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.image_file import OTHER_SUFFIXES, SUFFIXES


class VocFiles(FolderFormat):
    """A folder of images and VOC's XML files, which belong to the images of the same name."""

    name = "VOC XML"
    one_based = True

    def __init__(self, folder: Path, files: Iterable[str]):
        """Pair images and annotations.

        Args:
          folder: absolute.
          files: see file_index.list_files.

        Raises:
          InputError: the folder holds several data sets, or images beside those of its splits.
        """
        self.folder = folder
        self._files = [file for file in files if file.lower().endswith((".xml", *SUFFIXES, *OTHER_SUFFIXES))]
        self._xml = [file for file in self._files if file.lower().endswith(".xml")]
        _check_one_set(folder, self._xml)
        self._splits: dict[str, list[ListedImage]] = defaultdict(list)
        for name, images, annotations in _pairs(self._files):
            split, _, inner = name.partition("/")
            is_split = bool(inner and usual_name(split))
            place = split if is_split else EVERYTHING
            self._splits[place].append(_XmlImage(folder, inner if is_split else name, images, annotations))
        strays = self._splits.get(EVERYTHING)
        if strays and len(self._splits) > 1:
            names = ", ".join(sorted(set(self._splits) - {EVERYTHING}))
            raise InputError(
                f"devkit: {folder} has the splits {names}, and {len(strays)} images outside of them (the first is "
                f"{strays[0].listed}); move each into a split, or name a folder without splits."
            )

    def splits(self) -> tuple[str, ...]:
        """Return the folders that are called like splits."""
        return tuple(sorted(self._splits))

    def images(self, split: str) -> list[ListedImage]:
        """Return all images of a split's folder, and the annotations without an image, by name."""
        return self._splits[split]

    def class_names(self) -> tuple[str, ...]:
        """Return the sorted class names of all annotations, so that the labels do not depend on the chosen splits."""
        return voc_xml.find_class_names(self.folder, self._xml)

    def files(self) -> Iterable[str]:
        """Return the images and annotations."""
        return self._files


class _XmlImage(ListedImage):
    def __init__(self, folder: Path, listed: str, images: list[str], annotations: list[str]):
        self.listed, self._folder, self._images, self._annotations = listed, folder, images, annotations

    def find(self) -> tuple[str, Path]:
        return self.listed, self._only("image", self._images)

    def is_annotated(self) -> bool:
        return bool(self._annotations)

    def annotation(self) -> ImageAnnotation:
        return voc_xml.read_annotation(self._only("annotation", self._annotations))

    def _only(self, what: str, files: list[str]) -> Path:
        if not files:
            raise Unusable(f"{what} missing")
        if len(files) > 1:
            raise Unusable(f"{what} may be any of {', '.join(files[:3])}: give each image a name of its own")
        return self._folder / files[0]


def has_pairs(files: Iterable[str]) -> bool:
    """Return whether any image has an XML file of the same name."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for file in files:
        if file.lower().endswith((".xml", *SUFFIXES)):
            names[file.lower().endswith(".xml")].add(match_key(image_id(file)))
    return not names[True].isdisjoint(names[False])


def _pairs(files: Iterable[str]) -> list[tuple[str, list[str], list[str]]]:
    """Return (name, images, annotations) by name. Letter case and Unicode form may differ where only two files fit."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[match_key(image_id(file))].append(file)
    pairs = []
    for group in groups.values():
        names = {image_id(file) for file in group if not file.lower().endswith(".xml")}
        if len(names) <= 1:
            parts = {next(iter(names), image_id(group[0])): group}
        else:
            parts = {name: [file for file in group if image_id(file) == name] for name in map(image_id, group)}
        for name, members in parts.items():
            annotations = [file for file in members if file.lower().endswith(".xml")]
            pairs.append((name, [file for file in members if file not in annotations], annotations))
    return sorted(pairs)


def _check_one_set(folder: Path, annotations: Iterable[str]) -> None:
    """Raise InputError where annotations/ is in several folders that are no splits of one data set."""
    homes = set()
    for file in annotations:
        parts = PurePosixPath(file).parts[:-1]
        for i, part in enumerate(parts):
            if part.casefold() in ANNOTATION_FOLDERS:
                homes.add("/".join(outer for outer in parts[:i] if not usual_name(outer)))
    if len(homes) > 1:
        raise InputError(
            f"devkit: {folder} holds several data sets: {', '.join(sorted(home or '.' for home in homes)[:10])}; name "
            "the one you mean."
        )
