"""Selective Search over a whole split, by several processes; a killed search goes on where it was."""

import collections
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jaxdet.checks import InputError, at_least
from jaxdet.io.progress import progress
from jaxdet.proposals.file import open_proposals
from jaxdet.proposals.selective_search import selective_search
from jaxdet.proposals.writer import ProposalWriter
from jaxdet.types import Dataset, ProposalTable

logger = logging.getLogger(__name__)


def search_key(dataset: Dataset, *, max_boxes: int, min_side: float, width: int) -> dict[str, Any]:
    """What the proposals of search_split depend on; open_proposals compares it."""
    parameters = {"max_boxes": max_boxes, "min_side": min_side, "width": width}
    return {"method": "selective_search", "dataset": dataset.fingerprint, "images": len(dataset), **parameters}


def search_split(
    dataset: Dataset,
    path: str | os.PathLike,
    *,
    workers: int,
    max_boxes: int = 2000,
    min_side: float = 20,
    width: int = 500,
) -> ProposalTable:
    """The proposals of every image, read from the file at `path` or searched and written there.

    An image that cannot be decoded gets none, which is logged; a failing disk ends the search, to be taken up later.
    The processes are spawned: a script that calls this needs the `if __name__ == "__main__"` guard.

    Args:
        workers: processes; each takes one core.
        max_boxes, min_side, width: see selective_search.

    Raises:
        InputError: the file or the unfinished work at `path` is of other data or parameters, it cannot be written, a
            worker was killed, or a number is too small to find any box.
    """
    parameters = {"max_boxes": max_boxes, "min_side": min_side, "width": width}
    _check_numbers(workers, **parameters)
    key = search_key(dataset, **parameters)
    if Path(path).is_file():
        return open_proposals(path, key)
    with ProposalWriter(path, key) as writer:
        rest = range(writer.done, len(dataset))
        with contextlib.closing(_found(dataset, rest, workers, parameters)) as found:
            for boxes in progress(found, name="selective search", total=len(dataset), done=writer.done):
                writer.add(boxes)
        table = writer.finish()
    counts = np.diff(table.starts)
    logger.info("proposals: %.0f boxes an image in %s", counts.mean(), path)
    if not counts.all():
        first = dataset.names[int(np.argmin(counts))]
        logger.warning("proposals: %d of %d images have none, first %s", (counts == 0).sum(), len(table), first)
    return table


def _check_numbers(workers: int, max_boxes: int, min_side: float, width: int) -> None:
    at_least("proposals.workers", workers, 1, cure="give each process a core")
    at_least("proposals.max_boxes", max_boxes, 1, cure="2000 is usual")
    at_least("proposals.min_side", min_side, 0, cure="20 is usual")
    at_least("proposals.width", width, 1, cure="500 is usual")


def _found(dataset: Dataset, images: range, workers: int, parameters: dict[str, Any]) -> Iterator[np.ndarray]:
    """The boxes of the images in their order. Images are decoded here: that takes a hundredth of the search's time."""
    # Not fork: this process may run threads (JAX, the input pipeline), whose locks a fork would copy as they are.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    searching: collections.deque[concurrent.futures.Future] = collections.deque()
    unreadable = []
    try:
        for i in images:
            image = _image(dataset, i)
            if image is None:
                unreadable.append(dataset.names[i])
                image = np.zeros((0, 0, 3), np.uint8)
            searching.append(pool.submit(selective_search, image, **parameters))
            if len(searching) > 2 * workers:
                yield searching.popleft().result()
        while searching:
            yield searching.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "proposals: a search process was killed, perhaps for want of memory; "
            "run again with fewer workers: the images done are kept."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if unreadable:
        logger.warning("proposals: %d images cannot be decoded, first %s", len(unreadable), unreadable[0])


def _image(dataset: Dataset, i: int) -> np.ndarray | None:
    """The image, None where its bytes are none. Errors of the disk are raised: they would pass for missing objects."""
    try:
        return dataset[i].image
    except (ValueError, cv2.error):
        return None


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the other cores have workers of their own


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()  # returns when the parent is killed, which the pool would not notice
    os._exit(1)
