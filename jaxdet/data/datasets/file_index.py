"""Files of a folder by name, found in spite of another letter case, Unicode form, suffix, or a path before the name."""

import difflib
import os
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath

from jaxdet.checks import InputError
from jaxdet.data.datasets.xml_file import Unusable

OWN = frozenset(("preparing.lock", ".jaxdet-files"))  # mark folders of prepared copies and of results


def list_files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it and sorted; links to folders are followed once.

    Prepared copies and results of jaxdet below the folder are left out.

    Raises:
      InputError: a folder cannot be opened.
    """
    files: list[str] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited or (visited and not OWN.isdisjoint(names)):
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders.sort()
        files += [os.path.relpath(os.path.join(parent, name), folder) for name in names]
        # A folder named like an image is listed too: it is reported where a split names it.
        files += [os.path.relpath(os.path.join(parent, name), folder) for name in folders if "." in name]
    return sorted(files)


def list_names(folder: Path) -> list[str]:
    """Return the names of the files in a folder itself, sorted; [] if there is no such folder. Errors as above."""
    _, _, names = next(os.walk(folder, onerror=_refuse), ("", [], []))
    return sorted(names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise InputError(
            f"devkit: {error.filename} must be a folder that you can open, got {error.strerror}; "
            "change its permissions."
        ) from error


class FileIndex:
    """The files of a folder by id: the path below the folder, without suffix, such as a or day1/a."""

    def __init__(self, folder: Path, suffixes: tuple[str, ...], what: str):
        """List the files.

        Args:
          folder: subfolders are included.
          suffixes: of the files, in lower case.
          what: "image" or "annotation", for the reasons.
        """
        self._folder, self._suffixes, self._what = folder, suffixes, what
        self._files: dict[str, str] = {}  # id -> path; of two files of one id the first
        self._ids: dict[str, list[str]] = defaultdict(list)  # key -> ids
        self._last: dict[str, list[str]] = defaultdict(list)  # key of the last part of an id -> ids
        self._others: dict[str, str] = {}  # key -> path of a file with another suffix
        for path in list_files(folder):
            stem, suffix = os.path.splitext(path)
            if suffix.lower() not in suffixes:
                self._others.setdefault(match_key(stem), path)
            elif stem not in self._files:
                self._files[stem] = path
                self._ids[match_key(stem)].append(stem)
                self._last[match_key(PurePosixPath(stem).name)].append(stem)

    def find(self, listed: str) -> tuple[str, Path]:
        """Return the id and file of a name in a list, which may have the file's suffix or a path before it.

        Raises:
          Unusable: there is no such file, or several may be meant.
        """
        if listed in self._files:
            return listed, self._folder / self._files[listed]
        parts = self._without_suffix(listed.replace("\\", "/")).split("/")
        for start in range(len(parts)):
            ids = self._ids.get(match_key("/".join(parts[start:])), [])
            if len(parts) == 1:
                ids = ids or self._last.get(match_key(parts[0]), [])
            if len(ids) == 1:
                return ids[0], self._folder / self._files[ids[0]]
            if ids:
                raise self._ambiguous(ids)
        raise self._missing(match_key("/".join(parts)))

    def find_same(self, file_id: str) -> Path:
        """Return the file of an id, in any letter case and Unicode form; Unusable for none, or where several fit."""
        ids = [file_id] if file_id in self._files else self._ids.get(match_key(file_id), [])
        if not ids:
            raise self._missing(match_key(file_id))
        if len(ids) > 1:
            raise self._ambiguous(ids)
        return self._folder / self._files[ids[0]]

    def has(self, file_id: str) -> bool:
        """Return whether there are files of an id, in any letter case, Unicode form and suffix."""
        return match_key(file_id) in self._ids or match_key(file_id) in self._others

    def nearest(self, listed: str) -> str:
        """Return the id most like a name that is not found; '' where none is."""
        return next(iter(difflib.get_close_matches(listed[:200], self._files, n=1)), "")

    def _ambiguous(self, ids: list[str]) -> Unusable:
        return Unusable(f"{self._what} may be any of {', '.join(ids[:3])}: name its folder and letter case")

    def _missing(self, key: str) -> Unusable:
        if key in self._others:
            suffix = os.path.splitext(self._others[key])[1]
            return Unusable(f"{self._what} has the suffix {suffix!r}, not one of {', '.join(self._suffixes)}")
        return Unusable(f"{self._what} missing from {self._folder.name}")

    def _without_suffix(self, name: str) -> str:
        stem, suffix = os.path.splitext(name)
        return stem if suffix.lower() in (*self._suffixes, ".xml") else name


def match_key(path: str) -> str:
    """Return what paths that differ in letter case or Unicode form only have in common."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
