"""The format of a folder of images: recognised by its files, one per folder."""

from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.data.datasets import voc_layout
from jaxdet.data.datasets.file_index import list_files
from jaxdet.data.datasets.folder_format import FolderFormat
from jaxdet.data.datasets.folder_splits import ANNOTATION_FOLDERS
from jaxdet.data.datasets.voc_files import VocFiles
from jaxdet.data.datasets.voc_layout import VocLayout
from jaxdet.data.image_file import SUFFIXES

KNOWN = "VOC layout with ImageSets/Main, or VOC's XML beside the images or in annotations/ and images/"
MAX_DEPTH = 4


def open_folder(path: str, *, annotated: bool = True) -> FolderFormat:
    """Return the reader of a folder's format.

    Args:
      path: the folder, or one that holds nothing but it. A folder in VOC layout may also be one or two levels below.
      annotated: False allows a folder in VOC layout without Annotations/.

    Raises:
      InputError: there is no such folder, none or more than one of the formats fits, or the folder is incomplete.
    """
    if not path:
        raise InputError("devkit: none is named; give the folder of your images: --config.dataset.devkit=path/to/it.")
    top = Path(path).absolute()
    if not top.is_dir():
        raise InputError(f"devkit: there is no folder {top}; set it to the folder of your images and annotations.")
    if voc_layout.has_lists(top):
        return VocLayout(voc_layout.find_devkit(path, annotated=annotated))
    files = list_visible(top)
    for _ in range(MAX_DEPTH):
        folders = {file.partition("/")[0] for file in files if "/" in file}
        if len(folders) != 1 or any(_is_data(file) for file in files if "/" not in file):
            break
        (inner,) = folders
        if inner.casefold() in ANNOTATION_FOLDERS:
            break
        top, files = top / inner, [file.partition("/")[2] for file in files if "/" in file]
    reader = VocFiles(top, files)
    if reader.pairs:
        return reader
    images = sum(file.lower().endswith(SUFFIXES) for file in files)
    raise InputError(
        f"devkit: {top} has no data set in a known format, got {len(files)} files, {images} of them images, and no "
        f"annotation that belongs to one; give a folder in one of these: {KNOWN}."
    )


def list_visible(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it; none whose name, or a folder's, begins with a dot.

    __MACOSX/, which macOS adds to archives, is left out too.
    """
    files = list_files(folder)
    return [file for file in files if not any(part.startswith((".", "__MACOSX")) for part in file.split("/"))]


def _is_data(file: str) -> bool:
    return file.lower().endswith((".xml", ".json", ".yaml", ".yml", *SUFFIXES))
