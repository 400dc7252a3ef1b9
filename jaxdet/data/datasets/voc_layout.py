"""Files of a folder in VOC layout: Annotations/NAME.xml, JPEGImages/NAME.jpg, ImageSets/Main/SPLIT.txt."""

import functools
from collections.abc import Iterator
from pathlib import Path

from jaxdet.checks import InputError, nearest
from jaxdet.data.datasets import voc_xml
from jaxdet.data.datasets.file_index import FileIndex, list_files
from jaxdet.data.datasets.folder_format import FolderFormat, ImageAnnotation, ListedImage
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.image_file import SUFFIXES
from jaxdet.io.folder import full_path
from jaxdet.io.regular_file import read_regular

MAX_LIST_BYTES = 200_000_000
FOLDERS = ("Annotations", "JPEGImages", "ImageSets/Main")


class VocLayout(FolderFormat):
    """A folder in VOC layout. The splits are lists in ImageSets/Main, which nobody but its maker adds to."""

    name = "VOC layout"
    one_based = True
    fixed_splits = True

    def __init__(self, folder: Path):
        self.folder = folder

    def splits(self) -> tuple[str, ...]:
        """Return the names of the lists; those of single classes are no splits."""
        return find_splits(self.folder)

    def images(self, split: str) -> list[ListedImage]:
        """Return the images that a list names, in its order, lists of single classes too."""
        return [_VocImage(name, self) for name in read_split(self.folder, split)]

    def class_names(self) -> tuple[str, ...]:
        """Return the sorted class names of all annotations, so that the labels do not depend on the chosen splits."""
        return find_class_names(self.folder)

    def files(self) -> Iterator[str]:
        """Yield the files of the three folders."""
        return files_of(self.folder)

    def nearest(self, listed: str) -> str:
        """Return the image name most like one that is not found."""
        return self.image_index.nearest(listed)

    @functools.cached_property
    def image_index(self) -> FileIndex:
        """The images by name."""
        return FileIndex(self.folder / "JPEGImages", SUFFIXES, "image")

    @functools.cached_property
    def annotation_index(self) -> FileIndex:
        """The annotations by name; the folder may lack Annotations/."""
        return FileIndex(self.folder / "Annotations", (".xml",), "annotation")


class _VocImage(ListedImage):
    def __init__(self, listed: str, layout: VocLayout):
        self.listed, self._layout = listed, layout

    def find(self) -> tuple[str, Path]:
        return self._layout.image_index.find(self.listed)

    def is_annotated(self) -> bool:
        try:
            name, _ = self.find()
        except Unusable:  # reported when the split is prepared
            return False
        return self._layout.annotation_index.has(name)

    def annotation(self) -> ImageAnnotation:
        name, _ = self.find()
        return voc_xml.read_annotation(self._layout.annotation_index.find_same(name))


def find_devkit(path: str, *, annotated: bool = True) -> Path:
    """Return the absolute path of the folder that holds Annotations/, JPEGImages/ and ImageSets/Main/.

    Args:
      path: that folder, or one that holds exactly one such folder (VOCdevkit, or VOCdevkit's parent).
      annotated: False allows a folder without Annotations/.

    Raises:
      InputError: there is none, or more than one, or it is incomplete.
    """
    if not path:
        raise InputError(
            "devkit: none is named; give a folder in VOC layout: --config.dataset.devkit=path/to/VOCdevkit/VOC2012."
        )
    top = full_path(path)
    if not top.is_dir():
        raise InputError(
            f"devkit: there is no folder {top}; set it to a folder in VOC layout, such as VOCdevkit/VOC2012."
        )
    candidates = _with_lists(top)
    if len(candidates) != 1:
        listed = ", ".join(map(str, candidates)) or "none"
        raise InputError(
            f"devkit: {top} must hold one folder with ImageSets/Main, found {listed}; name the one you mean."
        )
    (folder,) = candidates
    for name in FOLDERS:
        if not (folder / name).is_dir() and (annotated or name != "Annotations"):
            raise InputError(f"devkit: {folder} has no folder {name}; VOC layout has {', '.join(FOLDERS)}.")
    return folder


def has_lists(top: Path) -> bool:
    """Return whether a folder, or one that is one or two levels below, has ImageSets/Main."""
    return bool(_with_lists(top))


def find_splits(folder: Path) -> tuple[str, ...]:
    """Return the names of the split files; lists of single classes (aeroplane_train.txt) are not splits."""
    stems = {file.stem for file in (folder / "ImageSets/Main").glob("*.txt")}
    return tuple(sorted(stem for stem in stems if "_" not in stem or stem.rpartition("_")[2] not in stems))


def read_split(folder: Path, split: str) -> list[str]:
    """Return the image names in a split file, in its order.

    Raises:
      InputError: the file does not exist, is no regular file, is not UTF-8 text, or lists nothing.
    """
    file = folder / "ImageSets/Main" / f"{split}.txt"
    try:
        lines = read_regular(file, max_bytes=MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        splits = find_splits(folder)
        cure = nearest(split, splits) if splits else "write one image name per line into it"
        raise InputError(
            f"devkit: there is no split file {file}; {cure} (a folder without validation: --config.splits.validation= "
            "--config.training.eval_every=0; without test: --config.splits.test=)."
        ) from error
    except OSError as error:
        raise InputError(f"devkit: {file} cannot be read ({error.strerror}); replace the file.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"devkit: {file} must be UTF-8 text, got another encoding ({error}); save it as UTF-8."
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"devkit: {file} lists no image; write one image name per line, without folder and suffix.")
    return names


def find_class_names(folder: Path) -> tuple[str, ...]:
    """Return the sorted class names of all annotations; see voc_xml.find_class_names."""
    files = [file for file in list_files(folder / "Annotations") if file.lower().endswith(".xml")]
    return voc_xml.find_class_names(folder / "Annotations", files)


def files_of(folder: Path) -> Iterator[str]:
    """Yield the paths of all files of a folder in VOC layout, relative to it."""
    for name in FOLDERS:
        yield from (f"{name}/{file}" for file in list_files(folder / name))


def _with_lists(top: Path) -> list[Path]:
    """Return the folders with ImageSets/Main on the first level, from `top` down, that has any."""
    patterns = ("ImageSets/Main", "*/ImageSets/Main", "*/*/ImageSets/Main")
    levels = (sorted(main for main in top.glob(pattern) if main.is_dir()) for pattern in patterns)
    return [main.parents[1] for main in next(filter(None, levels), [])]
