"""Writing the proposals of a split image after image, so that a killed run goes on where it was.

Beside the file to be, the folder FILE.parts holds `boxes` (f32, 4 a box) and `counts` (i64, one an image), which only
grow, and `key.json`. An image is done when its count is written, after its boxes: what a kill left behind that, or
half of an entry, is cut off on the next start.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.proposals.file import KEY, check_folder, parts_folder, save_proposals
from jaxdet.types import ProposalTable

logger = logging.getLogger(__name__)

CANNOT_WRITE = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS)
BOX, COUNT = np.dtype((np.float32, 4)).itemsize, np.dtype(np.int64).itemsize


class ProposalWriter:
    """Collects the proposals of images 0, 1, ... in their order; used as a context, one process at a time.

    Attributes:
        done: how many images have theirs, those of earlier runs included: the next `add` is image `done`.
    """

    def __init__(self, path: str | os.PathLike, key: Mapping[str, Any]):
        """Takes up the unfinished work at `path`, or begins it.

        Raises:
            InputError: the unfinished work has another key (with what differs), another process is at it, or the
                folder cannot be written.
        """
        self.path, self.key = Path(path), key
        self._folder = parts_folder(self.path)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as files:
                self._counts = files.enter_context((self._folder / "counts").open("ab", buffering=0))
                self._boxes = files.enter_context((self._folder / "boxes").open("ab", buffering=0))
                self._take_up()
                self._files = files.pop_all()
        except OSError as error:
            raise _explained(error, self.path) from error

    def __enter__(self) -> "ProposalWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, boxes: np.ndarray) -> None:
        """Writes the proposals f32[n,4] of the next image, best first, in original pixels.

        Raises InputError where the disk is full; what was written before stays.
        """
        try:
            _append(self._boxes, np.ascontiguousarray(boxes, np.float32).tobytes())
            _append(self._counts, np.int64(len(boxes)).tobytes())
        except OSError as error:
            raise _explained(error, self.path) from error
        self.done += 1

    def finish(self) -> ProposalTable:
        """Writes the file and removes the parts.

        Raises:
            ValueError: not every image has had its `add`.
            InputError: the file cannot be written; the parts stay.
        """
        if self.done != self.key["images"]:
            raise ValueError(f"finish: {self.key['images']} images must be added, got {self.done}; add the others.")
        counts = np.fromfile(self._folder / "counts", np.int64)
        boxes = np.fromfile(self._folder / "boxes", np.float32).reshape(-1, 4)
        table = ProposalTable(boxes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        try:
            save_proposals(self.path, table, self.key)
        except OSError as error:
            raise _explained(error, self.path) from error
        shutil.rmtree(self._folder)
        return table

    def _take_up(self) -> None:
        try:
            fcntl.flock(self._counts, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"proposals: {self.path} must be free, got one that another process is making; wait for it or stop it."
            ) from None
        counts = np.fromfile(self._folder / "counts", np.int64)
        if len(counts):
            check_folder(self._folder, self.key)
            logger.info("proposals: %d of %d images of %s were done", len(counts), self.key["images"], self.path)
        else:  # nothing is lost, whatever the key was
            (self._folder / KEY).write_text(json.dumps(dict(self.key)), encoding="utf-8")
        # A crash of the whole machine may have lost boxes whose count was kept: their images are done again.
        self.done = int(np.searchsorted(np.cumsum(counts) * BOX, os.fstat(self._boxes.fileno()).st_size, side="right"))
        self._counts.truncate(self.done * COUNT)
        self._boxes.truncate(int(counts[: self.done].sum()) * BOX)


def _append(file: Any, content: bytes) -> None:
    """Writes all of it: an unbuffered write stops short on a disk that fills up, and the next one says so."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _explained(error: OSError, path: Path) -> Exception:
    if error.errno not in CANNOT_WRITE:
        return error
    return InputError(
        f"proposals: {path} must be writable, got {error.strerror}; free space or name another file. "
        "What was done stays: the same command goes on from there."
    )
