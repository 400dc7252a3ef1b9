"""How far a long loop is: a bar on a terminal, a line in the log now and then where there is none."""

import logging
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm

log = logging.getLogger(__name__)

LINES = 20  # in the log, over the whole loop
Item = TypeVar("Item")


def progress(iterable: Iterable[Item], *, name: str, total: int, done: int = 0, unit: str = "image") -> Iterator[Item]:
    """Yields the items and shows how many have been worked on: one counts when the next is asked for.

    Args:
      iterable: what is left to do.
      name: of the work, as in "2_features".
      total: how many items there are, those done before included.
      done: how many were done before, by a run that was killed.
      unit: what an item is.
    """
    if sys.stderr.isatty():
        yield from tqdm.tqdm(iterable, name, total, initial=done, unit=unit)
        return
    every = math.ceil(total / LINES)
    for number, item in enumerate(iterable, start=done + 1):
        yield item
        if number % every == 0 or number == total:
            log.info("%s %d/%d", name, number, total)
