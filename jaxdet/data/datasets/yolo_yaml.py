"""The data.yaml of a YOLO data set: class names, and where the images of each split are."""

import dataclasses
import os
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from jaxdet.checks import InputError
from jaxdet.data.class_names import normalise
from jaxdet.io.regular_file import read_regular

MAX_BYTES = 1_000_000
SPLIT_KEYS = ("train", "val", "valid", "validation", "test")


@dataclasses.dataclass(frozen=True)
class DataYaml:
    """The content of a data.yaml.

    Attributes:
      names: class index -> name, in the order of the indices.
      splits: split -> folders or lists of images, as they are written; only those that are not empty.
      root: `path`, which the splits are relative to; '' for the folder of the data.yaml.
      keypoints: a label's numbers after the box are keypoints, not corners of a polygon.
    """

    names: dict[int, str]
    splits: dict[str, tuple[str, ...]]
    root: str
    keypoints: bool


def read_data_yaml(path: Path) -> DataYaml:
    """Parse a data.yaml; only plain values, so that no file can run code.

    Raises:
      InputError: it cannot be read, has more than MAX_BYTES, is no YAML of a data set, or a class name cannot be used.
    """
    try:
        content = yaml.safe_load(read_regular(path, max_bytes=MAX_BYTES))
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise _refused(path, " ".join(str(error).split())[:200]) from error
    except (ValueError, TypeError, RecursionError, AttributeError, OverflowError) as error:  # of PyYAML's constructors
        raise _refused(path, str(error)[:200]) from error
    if not isinstance(content, dict):
        raise _refused(path, "it has no names")
    root = content.get("path") or ""
    if not isinstance(root, str):
        raise _refused(path, "its path is no text")
    splits = {key: _locations(path, key, content[key]) for key in SPLIT_KEYS if content.get(key)}
    return DataYaml(_names(path, content.get("names")), splits, root, keypoints="kpt_shape" in content)


def parse_classes(path: Path) -> dict[int, str]:
    """Return class index -> name of a file with one name per line, such as classes.txt; InputError as above."""
    try:
        lines = read_regular(path, max_bytes=MAX_BYTES).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(path, f"it is not UTF-8 text: {error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return _names(path, lines)


def locate(written: str, root: str, folder: Path) -> Path | None:
    """Return a file or folder that a data.yaml in `folder` names; None if there is none.

    It is looked for from `root` and from `folder`; then, because paths are often those of another machine and Roboflow
    writes ../train/images for train/images, without its first parts.
    """
    written = written.replace("\\", "/")
    candidates = [folder / root / written] if root else []
    candidates.append(folder / written)
    parts = PurePosixPath(written).parts
    candidates += [folder.joinpath(*parts[i:]) for i in range(1, len(parts)) if ".." not in parts[i:]]
    normal = (Path(os.path.normpath(path)) for path in candidates)  # without .., which image names must not have
    return next((path for path in normal if _exists(path)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a NUL
        return False


def _locations(path: Path, key: str, value: Any) -> tuple[str, ...]:
    locations = value if isinstance(value, list) else [value]
    if not all(isinstance(location, str) for location in locations):
        raise _refused(path, f"its {key} is no path and no list of paths")
    return tuple(location.strip() for location in locations if location.strip())


def _names(path: Path, names: Any) -> dict[int, str]:
    entries = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(entries, dict) or not entries:
        raise _refused(path, "its names are no list of class names")
    parsed: dict[int, str] = {}
    for index, name in entries.items():
        if isinstance(index, bool) or not str(index)[:20].isdecimal():
            raise _refused(path, "its names have an index that is no whole number")
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise _refused(path, f"the name of class {index} is no text; put it in quotes")
        try:
            parsed[int(index)] = normalise(str(name))
        except ValueError as error:
            raise _refused(path, f"the name of class {index} {error}") from error
        if not parsed[int(index)]:
            raise _refused(path, f"the name of class {index} is empty")
    return dict(sorted(parsed.items()))


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"devkit: {path} must name the classes of a YOLO data set, got another file ({reason}); docs/own-data.md has "
        "an example."
    )
