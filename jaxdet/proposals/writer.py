"""Resumable writing of a split's proposals, image by image.

Beside the final file the folder FILE.parts holds `boxes` (f32, 4 per box) and `counts` (i64, one per image), which only
grow, and `key.json`. An image is done when its count is written, after its boxes. Whatever a kill leaves beyond that,
such as half an entry, is truncated at the next start.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.io.folder import cannot_write, unwritable
from jaxdet.io.keyed_folder import check_folder, write_key
from jaxdet.io.lock import Locked, open_locked
from jaxdet.proposals.file import parts_folder, save_proposals
from jaxdet.types import ProposalTable

log = logging.getLogger(__name__)

BOX_BYTES, COUNT_BYTES = np.dtype((np.float32, 4)).itemsize, np.dtype(np.int64).itemsize


class ProposalWriter:
    """Writes the proposals of images 0, 1, ... in this order. A context manager; one process at a time.

    Attributes:
      done: number of images done, those of earlier runs included: the next `add` is image `done`.
    """

    def __init__(self, path: str | os.PathLike[str], key: Mapping[str, Any]):
        """Start the file at `path`, or resume the unfinished one.

        Args:
          path: the final file.
          key: everything the proposals depend on; see proposals.file.

        Raises:
          InputError: the unfinished file has another key (the error lists the differences), another process is writing
            it, or the folder cannot be written.
        """
        self.path, self.key = Path(path), key
        self._folder = parts_folder(self.path)
        try:
            with contextlib.ExitStack() as files:
                # Unbuffered, so that the boxes of an image reach the file before its count.
                self._counts = files.enter_context(open_locked(self._folder / "counts", wait=False, buffering=0))
                self._boxes = files.enter_context((self._folder / "boxes").open("ab", buffering=0))
                self.done = self._resume()
                self._files = files.pop_all()
        except Locked:
            raise InputError(
                f"proposals: {self.path} must be free, got one that another process is writing; wait for it or stop it."
            ) from None
        except OSError as error:
            raise _write_error(error, self.path) from error

    def __enter__(self) -> "ProposalWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def add(self, boxes: np.ndarray) -> None:
        """Write the proposals f32[n,4] of the next image, best first, in original pixels.

        Raises:
          InputError: the disk is full. The images before stay.
        """
        try:
            _append(self._boxes, np.ascontiguousarray(boxes, np.float32).tobytes())
            _append(self._counts, np.int64(len(boxes)).tobytes())
        except OSError as error:
            raise _write_error(error, self.path) from error
        self.done += 1

    def finish(self) -> ProposalTable:
        """Write the final file and remove the parts.

        Raises:
          ValueError: some images were not added.
          InputError: the file cannot be written. The parts stay.
        """
        if self.done != self.key["images"]:
            raise ValueError(f"finish: {self.key['images']} images must be added, got {self.done}; add the others.")
        try:
            counts = np.fromfile(self._folder / "counts", np.int64)
            boxes = np.fromfile(self._folder / "boxes", np.float32).reshape(-1, 4)
            table = ProposalTable(boxes, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
            save_proposals(self.path, table, self.key)
        except OSError as error:
            raise _write_error(error, self.path) from error
        remove_parts(self.path)
        return table

    def _resume(self) -> int:
        """Truncate the parts to whole images and return how many there are."""
        counts = np.fromfile(self._folder / "counts", np.int64)
        if len(counts):
            check_folder(self._folder, self.key)
            log.info("proposals: %d of %d images of %s were done", len(counts), self.key["images"], self.path)
        else:  # nothing is lost, whatever the key was
            write_key(self._folder, self.key)
        # A power cut may have lost boxes whose count reached the disk: those images are done again.
        size = os.fstat(self._boxes.fileno()).st_size
        done = int(np.searchsorted(np.cumsum(counts) * BOX_BYTES, size, side="right"))
        self._counts.truncate(done * COUNT_BYTES)
        self._boxes.truncate(int(counts[:done].sum()) * BOX_BYTES)
        return done


def log_counts(table: ProposalTable, names: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Log how many boxes an image has, and how many of the images, named `names`, have none."""
    counts = np.diff(table.starts)
    log.info("proposals: %.0f boxes per image in %s", counts.mean(), path)
    if not counts.all():
        first = names[int(np.argmin(counts))]
        log.warning("proposals: %d of %d images have none, first %s", (counts == 0).sum(), len(table), first)


def remove_parts(path: Path) -> None:
    """Remove the parts that a kill left beside a finished file."""
    shutil.rmtree(parts_folder(path), ignore_errors=True)


def _append(file: IO[bytes], content: bytes) -> None:
    """Write all of `content`. An unbuffered write may be partial on a disk that fills up; the next one then raises."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _write_error(error: OSError, path: Path) -> Exception:
    if not cannot_write(error):
        return error
    return unwritable(
        f"proposals: {path}",
        error,
        cure="free space or name another file. The images done are saved: the same command resumes",
    )
