"""Selective Search over a split in several processes; a killed search is resumed."""

import collections
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jaxdet.checks import InputError, at_least
from jaxdet.io.progress import progress
from jaxdet.proposals.file import open_proposals
from jaxdet.proposals.selective_search import selective_search
from jaxdet.proposals.writer import ProposalWriter, log_counts, remove_parts
from jaxdet.types import Dataset, ProposalTable

log = logging.getLogger(__name__)


def search_key(dataset: Dataset, **parameters: Any) -> dict[str, Any]:
    """Return the key of the proposals of search_split: everything they depend on."""
    set_parameters = {name: value for name, value in parameters.items() if value != ()}  # the key of before () existed
    return {"method": "selective_search", "dataset": dataset.fingerprint, "images": len(dataset), **set_parameters}


def search_split(
    dataset: Dataset,
    path: str | os.PathLike[str],
    *,
    workers: int,
    max_boxes: int = 2000,
    min_side: float = 20,
    width: int = 500,
    segment_sizes: Sequence[int] = (),
) -> ProposalTable:
    """Return the proposals of every image, read from the file at `path` or searched and saved there.

    An image that cannot be decoded gets none, which is logged. A disk failure ends the search, which can be resumed.
    The processes are spawned: a script that calls this needs the `if __name__ == "__main__"` guard.

    Args:
      dataset: the split.
      path: the proposals file.
      workers: processes; each uses one core.
      max_boxes, min_side, width, segment_sizes: see selective_search.

    Raises:
      InputError: the file or the unfinished file at `path` is of other data or parameters, it cannot be written, a
        worker was killed, or a number is too small to find any box.
    """
    at_least("proposals.workers", workers, 1, cure="give each process a core")
    at_least("proposals.max_boxes", max_boxes, 1, cure="2000 is usual")
    at_least("proposals.min_side", min_side, 0, cure="20 is usual")
    at_least("proposals.width", width, 1, cure="500 is usual")
    at_least("proposals.segment_sizes", min(segment_sizes, default=1), 1, cure="50,100 is R-CNN's")
    parameters: dict[str, Any] = {"max_boxes": max_boxes, "min_side": min_side, "width": width}
    parameters["segment_sizes"] = segment_sizes
    key = search_key(dataset, **parameters)
    if Path(path).is_file():
        remove_parts(Path(path))
        return open_proposals(path, key)
    with ProposalWriter(path, key) as writer:
        images = range(writer.done, len(dataset))
        with contextlib.closing(_search_images(dataset, images, workers, parameters)) as searched:
            for boxes in progress(searched, name="selective search", total=len(dataset), done=writer.done):
                writer.add(boxes)
        table = writer.finish()
    log_counts(table, dataset.names, path)
    return table


def _search_images(
    dataset: Dataset, images: range, workers: int, parameters: dict[str, Any]
) -> Generator[np.ndarray, None, None]:
    """Yield the boxes of the images in order. This process decodes them: that takes 1 % of the search's time."""
    # Not fork: this process may run threads (JAX, the input pipeline), and a fork would copy their locks as they are.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    pending: collections.deque[concurrent.futures.Future[np.ndarray]] = collections.deque()
    unreadable = []
    try:
        for i in images:
            image = _decode(dataset, i)
            if image is None:
                unreadable.append(dataset.names[i])
                image = np.zeros((0, 0, 3), np.uint8)
            pending.append(pool.submit(selective_search, image, **parameters))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "proposals: a search process was killed, perhaps for lack of memory; "
            "run again with fewer workers: the images done are saved."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if unreadable:
        log.warning("proposals: %d images cannot be decoded, first %s", len(unreadable), unreadable[0])


def _decode(dataset: Dataset, i: int) -> np.ndarray | None:
    """Return the image, or None if it cannot be decoded. Disk errors are raised: they say nothing about the image."""
    try:
        return dataset[i].image
    except (ValueError, cv2.error):
        return None


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the other cores have their own workers


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # returns when the parent is killed, which the pool would not notice
    os._exit(1)
