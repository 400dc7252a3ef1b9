"""Progress of long work: bars on a terminal, lines in the log elsewhere.

On a terminal nothing is silent for more than five seconds. There is one display: work inside other work has its bar
below. In the log, work of less than FIRST_LINE seconds has no line, and longer work one every LINE_EVERY seconds.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

log = logging.getLogger(__name__)

FIRST_LINE, LINE_EVERY = 5.0, 30.0  # seconds
Item = TypeVar("Item")


class Bar(Progress):
    """rich's bar with those of the work inside it below."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self in _bars[:1]:
            for bar in _bars[1:]:
                yield from bar.get_renderables()


_bars: list[Bar] = []  # on the terminal now, the outermost first, which draws all


@contextlib.contextmanager
def shown(bar: Bar) -> Iterator[None]:
    """Show a bar inside the block, below those that are shown already."""
    _bars.append(bar)
    if bar is _bars[0]:
        bar.start()
    try:
        yield
    finally:
        _bars.remove(bar)
        if bar.live.is_started:  # rich before 14.3 prints an empty line otherwise
            bar.stop()


def progress(iterable: Iterable[Item], *, name: str, total: int, done: int = 0, unit: str = "image") -> Iterator[Item]:
    """Yield the items and show how many are finished: one counts as finished when the next is requested.

    Args:
      iterable: the items still to process.
      name, total, done, unit: see `counting`.
    """
    with counting(name, total=total, done=done, unit=unit) as finish:
        for item in iterable:
            yield item
            finish(1)


@contextlib.contextmanager
def counting(name: str, *, total: int, done: int = 0, unit: str = "image") -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of items finished since its last call; show how many are finished.

    Args:
      name: of the work, as in "2_features".
      total: number of items, including those done before.
      done: number of items done before, by a run that was killed.
      unit: what an item is, for the speed.
    """
    if _on_terminal():
        with _bar(MofNCompleteColumn(), _SpeedColumn(unit), TimeRemainingColumn()) as bar:
            task = bar.add_task(name, total=total, completed=done)
            yield lambda count: bar.advance(task, count)
        return
    logged, finished, due = done, done, time.monotonic() + FIRST_LINE

    def line() -> None:
        nonlocal logged
        logged = finished
        log.info("%s %d/%d", name, finished, total)

    def finish(count: int) -> None:
        nonlocal finished, due
        finished += count
        now = time.monotonic()
        if now >= due:
            due = now + LINE_EVERY
            line()

    yield finish
    if done < logged < finished:
        line()


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that work is under way inside the block, and for how long; nobody knows how much of it is done."""
    if _on_terminal():
        with _bar(TimeElapsedColumn()) as bar:
            bar.add_task(text, total=None)
            yield
        return
    start, ended = time.monotonic(), threading.Event()

    def lines() -> None:
        pause = FIRST_LINE
        while not ended.wait(pause):
            log.info("%s (%.0f s)", text, time.monotonic() - start)
            pause = LINE_EVERY

    thread = threading.Thread(target=lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def download_progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of (bytes received, bytes in total or None) that shows them on a terminal.

    Elsewhere nothing is shown.
    """
    if not _on_terminal():
        yield lambda received, size: None
        return
    with _bar(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda received, size: bar.update(task, completed=received, total=size)


def _on_terminal() -> bool:
    return bool(_bars) or sys.stderr.isatty()


@contextlib.contextmanager
def _bar(*columns: ProgressColumn) -> Iterator[Bar]:
    """Show a bar inside the block; it is removed at the end. The spinner turns as long as the process is alive."""
    description = TextColumn("{task.description}", markup=False)
    bar = Bar(
        *(SpinnerColumn(), description, BarColumn(), *columns),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with shown(bar):
        yield bar


class _SpeedColumn(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} {self._unit}s/s", style="progress.data.speed")
