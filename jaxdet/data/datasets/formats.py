"""The format of a folder of images: recognised by its files, one per folder."""

from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.data.datasets import voc_layout
from jaxdet.data.datasets.coco import Coco, find_json_files
from jaxdet.data.datasets.file_index import list_files
from jaxdet.data.datasets.folder_format import FolderFormat
from jaxdet.data.datasets.folder_splits import ANNOTATION_FOLDERS, choose_images, usual_name
from jaxdet.data.datasets.voc_files import VocFiles, has_pairs
from jaxdet.data.datasets.voc_layout import VocLayout
from jaxdet.data.datasets.yolo import Yolo, find_class_files, has_labels
from jaxdet.data.image_file import SUFFIXES
from jaxdet.io.folder import full_path

MAX_DEPTH = 4


def open_folder(path: str, *, annotated: bool = True) -> FolderFormat:
    """Return the reader of a folder's format.

    Args:
      path: the folder, or one that holds nothing but it (in VOC layout it may be beside others); or, of a folder with
        several formats, the file or the folder of the annotations to be read.
      annotated: False allows a folder in VOC layout without Annotations/.

    Raises:
      InputError: there is no such folder, none or more than one of the formats fits, or the folder is incomplete.
    """
    if not path:
        raise InputError("devkit: none is named; give the folder of your images: --config.dataset.devkit=path/to/it.")
    top = full_path(path)  # so that each way to name a folder finds its one prepared copy
    if top.is_file():
        return _open_file(top)
    if not top.is_dir():
        raise InputError(f"devkit: there is no folder {top}; set it to the folder of your images and annotations.")
    home = top.parent
    if top.name.casefold() in ANNOTATION_FOLDERS and has_pairs(list_visible(home)) and not has_pairs(list_visible(top)):
        return _voc(home, annotated=annotated)
    return _recognise(top, annotated=annotated)


def has_split(path: str, split: str) -> bool:
    """Return whether `choose_images` finds a split, the folder's own or a sampled one, with annotations or without."""
    try:
        choose_images(open_folder(path, annotated=False), split)
    except InputError:
        return False
    return True


def list_visible(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it; none whose name, or a folder's, begins with a dot.

    __MACOSX/, which macOS adds to archives, is left out too.
    """
    files = list_files(folder)
    return [file for file in files if not any(part.startswith((".", "__MACOSX")) for part in file.split("/"))]


def _recognise(top: Path, *, annotated: bool) -> FolderFormat:
    files = list_visible(top)
    has_voc = voc_layout.has_lists(top) or has_pairs(files)
    inner, inner_files = _innermost(top, files)
    json_files = find_json_files(inner, inner_files)
    class_files = find_class_files(inner, inner_files)
    if has_voc or json_files:  # a classes.txt or data.yaml beside them need not be YOLO's
        class_files = class_files if has_labels(inner, inner_files) else []
    fitting = {
        "VOC's XML": has_voc,
        f"COCO JSON ({', '.join(json_files[:3])})": bool(json_files),
        f"YOLO ({', '.join(class_files[:3])})": bool(class_files),
    }
    names = [name for name, fits in fitting.items() if fits]
    if len(names) > 1:
        raise InputError(
            f"devkit: {inner} has annotations in {len(names)} formats: {' and '.join(names)}; name the one to "
            "read: the folder of the XML files, the .json file, or data.yaml (or classes.txt)."
        )
    if json_files:
        return Coco(inner, inner_files, json_files)
    if has_voc:
        return _voc(top, annotated=annotated)
    if len(class_files) > 1:
        raise InputError(
            f"devkit: the classes of {inner} may be in any of {', '.join(class_files[:10])}; name the file you mean: "
            f"--config.dataset.devkit={inner / class_files[0]}"
        )
    if class_files:
        return Yolo(inner, inner_files, inner / class_files[0])
    if has_labels(inner, inner_files):
        raise InputError(
            f"devkit: {inner} has label files in YOLO's format but no data.yaml or classes.txt; write the class names "
            "into classes.txt, one per line, class 0 first."
        )
    images = sum(file.lower().endswith(SUFFIXES) for file in files)
    raise InputError(
        f"devkit: {top} has no data set in a known format, got {len(files)} files, {images} of them images, and no "
        "annotation that belongs to one; give a folder in VOC layout, with VOC's XML, COCO's JSON or YOLO's labels "
        "(docs/own-data.md shows each)."
    )


def _voc(top: Path, *, annotated: bool) -> FolderFormat:
    if voc_layout.has_lists(top):
        return VocLayout(voc_layout.find_devkit(str(top), annotated=annotated))
    return VocFiles(*_innermost(top, list_visible(top)))


def _open_file(file: Path) -> FolderFormat:
    """Return the reader of a COCO JSON file or a data.yaml; images are beside it, or beside its folder of labels."""
    home = file.parent.parent if file.parent.name.casefold() in ANNOTATION_FOLDERS else file.parent
    suffix = file.suffix.lower()
    if suffix == ".json":
        return Coco(home, list_visible(home), [str(file.relative_to(home))])
    if suffix in (".yaml", ".yml", ".txt", ".names"):
        return Yolo(home, list_visible(home), file)
    raise InputError(f"devkit: {file} must be a folder, COCO's .json file or YOLO's data.yaml; name the folder.")


def _innermost(top: Path, files: list[str]) -> tuple[Path, list[str]]:
    """Return the first folder, from `top` down, that holds anything but one folder, and its files."""
    for _ in range(MAX_DEPTH):
        folders = {file.partition("/")[0] for file in files if "/" in file}
        if len(folders) != 1 or any(_is_data(file) for file in files if "/" not in file):
            break
        (inner,) = folders
        if inner.casefold() in ANNOTATION_FOLDERS or usual_name(inner):
            break
        top, files = top / inner, [file.partition("/")[2] for file in files if "/" in file]
    return top, files


def _is_data(file: str) -> bool:
    return file.lower().endswith((".xml", ".json", ".yaml", ".yml", *SUFFIXES))
