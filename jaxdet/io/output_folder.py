"""Folders of results: a file that jaxdet did not write is never replaced, and results are written whole or not at all.

`.jaxdet-files` in the folder lists every result with the sha256 of its content, one `sha256 "name"` per line.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxdet.checks import InputError
from jaxdet.io.append import append_whole
from jaxdet.io.atomic import atomic_write, draft_of
from jaxdet.io.folder import make_writable, unwritable

LIST = ".jaxdet-files"


class OutputFolder:
    """A folder to write results to, created where it does not exist.

    A file in it that is not as jaxdet wrote it, if only because somebody changed it since, belongs to the user.
    """

    def __init__(self, folder: Path, *, cure: str):
        """Open a folder; `cure` ends the errors, such as "name another folder with --output".

        Raises:
          InputError: the folder cannot be written.
        """
        self.folder, self._cure = make_writable(folder, cure=cure), cure
        self._written = listed_results(folder)

    def check(self, names: Iterable[str], *, inputs: Iterable[Path] = ()) -> None:
        """Check that results may be written under these names, before the work that they take.

        Args:
          names: of files in the folder, or in folders in it ("pictures/a.png").
          inputs: files that are read; they are never replaced, whoever wrote them.

        Raises:
          InputError: an input, or a file that jaxdet did not write, has one of the names.
        """
        read = {_identity(path) for path in inputs if path.exists()}
        for name in names:
            path = self.folder / name
            try:
                if path.exists() and _identity(path) in read:
                    raise InputError(f"{path} must not be replaced, as it is read; {self._cure}.")
                self._check_ours(name)
            except OSError as error:
                raise unwritable(path, error, cure=self._cure) from error

    def adopt(self, names: Iterable[str], *, write_list: bool = True) -> None:
        """Count the files of these names as results of an earlier version, which wrote no list, and list them.

        In a folder with a list nothing happens: a file in it that is not listed is the user's. Of several processes
        only one may write the list.

        Raises:
          InputError: the list cannot be written, or a file cannot be read.
        """
        if self._written:
            return
        try:
            paths = {name: self.folder / name for name in names}
            digests = {
                name: hashlib.sha256(path.read_bytes()).hexdigest()
                for name, path in paths.items()
                if path.is_file() and not path.is_symlink()
            }
            if write_list:
                with atomic_write(self.folder / LIST) as file:  # whole: a part would make the rest the user's
                    file.writelines(_line(name, digest) for name, digest in digests.items())
        except OSError as error:
            raise unwritable(self.folder / LIST, error, cure=self._cure) from error
        for name, digest in digests.items():
            self._written[name].add(digest)

    def write(self, name: str, content: bytes | str) -> Path:
        r"""Write a file whole and return its path. Lone surrogates of a text, from odd file names, become \udcXX.

        Raises:
          InputError: a file that jaxdet did not write has the name, the disk is full, or the folder cannot be written.
            The old content stays.
        """
        path = self.folder / name
        encoded = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
        try:
            self._check_ours(name)
            self._list(name, hashlib.sha256(encoded).hexdigest())  # first: a kill leaves no file that is not listed
            with atomic_write(path) as file:
                file.write(encoded)
        except OSError as error:
            raise unwritable(path, error, cure=self._cure) from error
        return path

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """Yield the path of a temporary file of the same suffix, for a result that grows; see `write` for errors.

        After the block the file gets the name, also where Ctrl-C ends the block: as much as was written. Any other
        error leaves no file.
        """
        path = self.folder / name
        draft = draft_of(path).with_suffix(path.suffix)
        try:
            self._check_ours(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield draft
            except KeyboardInterrupt:
                self._publish(draft, name)
                raise
            self._publish(draft, name)
        except OSError as error:
            raise unwritable(path, error, cure=self._cure) from error
        finally:
            draft.unlink(missing_ok=True)

    def _publish(self, draft: Path, name: str) -> None:
        if not draft.exists():
            return  # interrupted before anything was written
        self._check_ours(name)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
            self._list(name, hashlib.file_digest(file, "sha256").hexdigest())
        draft.replace(self.folder / name)

    def remove(self, name: str) -> None:
        """Remove a result of an earlier run, if there is one; errors as in `check`."""
        self.check([name])
        (self.folder / name).unlink(missing_ok=True)

    def _list(self, name: str, digest: str) -> None:
        if digest not in self._written[name]:
            with (self.folder / LIST).open("ab", buffering=0) as file:
                append_whole(file, _line(name, digest))
            self._written[name].add(digest)

    def _check_ours(self, name: str) -> None:
        """Raise InputError where a file has the name that is not as jaxdet wrote it."""
        path = self.folder / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        ours = self._written.get(name, ()) if stat.S_ISREG(mode) else ()
        if not ours or hashlib.sha256(path.read_bytes()).hexdigest() not in ours:
            raise InputError(f"{path} must not be replaced, as jaxdet did not write it; move it away, or {self._cure}.")


def listed_results(folder: Path) -> dict[str, set[str]]:
    """Return the results that a folder lists: name -> sha256 of what was written under it. Empty without a list."""
    written: dict[str, set[str]] = defaultdict(set)
    if (folder / LIST).exists():
        for line in (folder / LIST).read_text(encoding="utf-8", errors="replace").splitlines():
            if listed := re.fullmatch(r'([0-9a-f]{64}) (".*")', line):  # a kill may have cut a line off
                with contextlib.suppress(ValueError):
                    written[json.loads(listed[2])].add(listed[1])
    return written


def unique_name(name: str, used: set[str]) -> str:
    """Return a file name, numbered where it is in `used`, and add it there: "a.png" -> "a-1.png".

    Names that differ in upper and lower case only, or in how accents are encoded, are one file on some systems.
    """
    stem, suffix = os.path.splitext(name)
    number = 1
    while (key := unicodedata.normalize("NFC", name).casefold()) in used:
        name, number = f"{stem}-{number}{suffix}", number + 1
    used.add(key)
    return name


def _line(name: str, digest: str) -> bytes:
    """Return a line of the list; its first newline ends a line that was cut off."""
    return f"\n{digest} {json.dumps(name)}\n".encode()


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
