"""Batches prepared ahead of their use by threads (OpenCV decodes and resizes outside Python's lock)."""

import collections
import concurrent.futures
import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

import cv2

from jaxdet.types import Batch

AHEAD = 3  # batches in preparation while one is used

AnyBatch = TypeVar("AnyBatch", bound=Batch)


def prefetch(
    unfilled: Iterable[tuple[AnyBatch, Sequence[Callable[[], None]]]], *, workers: int
) -> Generator[AnyBatch, None, None]:
    """Yield batches in order, each after its tasks have filled it; the tasks of the next AHEAD run meanwhile.

    Closing the iterator ends the threads.

    Args:
      unfilled: (batch, tasks that fill its rows in place); taken AHEAD batches before they are yielded.
      workers: threads.

    Raises:
      Exception: whatever a task raised, at its batch.
    """
    cv2.setNumThreads(1)  # cv2's own threads would compete with these for the cores
    # At the end of the interpreter the threads are gone, and this module's names may be, too: hence a local one.
    finalizing = sys.is_finalizing
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="input")
    pending: collections.deque[tuple[AnyBatch, list[concurrent.futures.Future]]] = collections.deque()
    waiting = iter(unfilled)

    def start(count: int) -> None:
        for batch, tasks in itertools.islice(waiting, count):
            pending.append((batch, [pool.submit(task) for task in tasks]))

    try:
        start(AHEAD)
        while pending:
            batch, running = pending.popleft()
            for task in running:
                task.result()
            start(1)
            yield batch
    finally:
        if not finalizing():
            pool.shutdown(wait=True, cancel_futures=True)
