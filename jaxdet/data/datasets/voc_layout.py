"""Files of a folder in VOC layout: Annotations/NAME.xml, JPEGImages/NAME.jpg, ImageSets/Main/SPLIT.txt."""

import hashlib
from pathlib import Path

from jaxdet.checks import InputError, nearest
from jaxdet.data.datasets.file_index import FileIndex, list_files
from jaxdet.data.datasets.voc_xml import object_names, read_xml
from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.image_file import SUFFIXES
from jaxdet.io.regular_file import read_regular

MAX_LIST_BYTES = 200_000_000
FOLDERS = ("Annotations", "JPEGImages", "ImageSets/Main")


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
    top = Path(path).absolute()
    if not top.is_dir():
        raise InputError(
            f"devkit: there is no folder {top}; set it to a folder in VOC layout, such as VOCdevkit/VOC2012."
        )
    patterns = ("ImageSets/Main", "*/ImageSets/Main", "*/*/ImageSets/Main")
    levels = (sorted(top.glob(pattern)) for pattern in patterns)
    candidates = [main.parents[1] for main in next(filter(None, levels), [])]  # of the first level that has any
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


def is_annotated(folder: Path, split: str) -> bool:
    """Return whether any image of a split has an annotation, if only one in another format than VOC's.

    Raises:
      InputError: see read_split.
    """
    images, annotations = image_index(folder), annotation_index(folder)
    for listed in read_split(folder, split):
        try:
            name, _ = images.find(listed)
        except Unusable:  # reported when the split is prepared
            continue
        if annotations.has(name):
            return True
    return False


def image_index(folder: Path) -> FileIndex:
    """List the images of a folder in VOC layout."""
    return FileIndex(folder / "JPEGImages", SUFFIXES, "image")


def annotation_index(folder: Path) -> FileIndex:
    """List the annotations of a folder in VOC layout; it may lack Annotations/."""
    return FileIndex(folder / "Annotations", (".xml",), "annotation")


def find_class_names(folder: Path) -> tuple[str, ...]:
    """Return the sorted class names of all annotations, so that the labels do not depend on the chosen splits.

    Raises:
      InputError: no annotation names an object; the error has the first fault.
    """
    names: set[str] = set()
    files = [file for file in list_files(folder / "Annotations") if file.lower().endswith(".xml")]
    faults = []
    for file in files:
        try:
            names.update(object_names(read_xml(folder / "Annotations" / file)))
        except Unusable as fault:  # reported when a split lists the image
            faults.append(f"{file}: {fault}")
    if not names:
        cause = f"; {len(faults)} of {len(files)} cannot be used, the first is {faults[0]}" if faults else ""
        raise InputError(
            f"devkit: no annotation in {folder / 'Annotations'} names an object{cause}; VOC's XML has <object><name>."
        )
    return tuple(sorted(names))


def fingerprint(folder: Path, *settings: object) -> str:
    """Return a hash that changes when a file of the devkit is added, removed or written, or when a setting changes."""
    digest = hashlib.sha256(repr((str(folder), settings)).encode())
    for name in FOLDERS:
        for file in list_files(folder / name):
            digest.update(repr((name, file, *_size_and_time(folder / name / file))).encode())
    return digest.hexdigest()[:16]


def _size_and_time(file: Path) -> tuple[int, ...]:
    try:
        status = file.stat()
    except OSError:
        return ()  # such as a dangling link, reported when a split lists the image
    return status.st_size, status.st_mtime_ns
