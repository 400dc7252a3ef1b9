"""Progress of long loops and downloads: a bar on a terminal, lines in the log elsewhere."""

import contextlib
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

log = logging.getLogger(__name__)

MAX_LINES = 20  # in the log, over the whole loop
LINE_SECONDS = 5.0  # at least, before each line but the last
Item = TypeVar("Item")


def progress(iterable: Iterable[Item], *, name: str, total: int, done: int = 0, unit: str = "image") -> Iterator[Item]:
    """Yield the items and show how many are finished: one counts as finished when the next is requested.

    The bar is removed at the end. In the log the last line always appears.

    Args:
      iterable: the items still to process.
      name: of the work, as in "2_features".
      total: number of items, including those done before.
      done: number of items done before, by a run that was killed.
      unit: what an item is, for the speed.
    """
    if sys.stderr.isatty():
        with _bar(MofNCompleteColumn(), _SpeedColumn(unit), TimeRemainingColumn()) as bar:
            task = bar.add_task(name, total=total, completed=done)
            for item in iterable:
                yield item
                bar.advance(task)
        return
    every, last = math.ceil(total / MAX_LINES), time.monotonic()
    for number, item in enumerate(iterable, start=done + 1):
        yield item
        now = time.monotonic()
        if number == total or (number % every == 0 and now - last >= LINE_SECONDS):
            log.info("%s %d/%d", name, number, total)
            last = now


@contextlib.contextmanager
def download_progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (bytes received, bytes in total or None) that shows them on a terminal.

    Elsewhere nothing is shown.
    """
    if not sys.stderr.isatty():
        yield lambda received, size: None
        return
    with _bar(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda received, size: bar.update(task, completed=received, total=size)


def _bar(*columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    description = TextColumn("{task.description}", markup=False)
    return Progress(
        *(description, BarColumn(), *columns),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class _SpeedColumn(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} {self._unit}s/s", style="progress.data.speed")
