"""Metric files of a run: metrics.jsonl for programs, TensorBoard events for people."""

import json
import math
import os
import time
from pathlib import Path

import jax

from jaxdet.io.append import append_whole
from jaxdet.io.atomic import atomic_write
from jaxdet.io.folder import unwritable
from jaxdet.training.events import EventFile


class MetricsWriter:
    """Appends one line of JSON per report, and the same scalars as events; process 0 only.

    A line is {"step", "stage", "split", metrics..., "time": {...}}: everything except "time" repeats exactly when a run
    is repeated or resumed. Metrics that are not finite are written as null.
    """

    def __init__(self, workdir: str | os.PathLike, *, stage: str, start: int):
        """Open workdir/metrics.jsonl and workdir/tensorboard for a stage that resumes after step `start`.

        Lines of later steps are removed: a run that was killed after its last checkpoint wrote them, and this run
        writes them again.
        """
        self._is_writer, self._stage = jax.process_index() == 0, stage
        if not self._is_writer:
            return
        path = Path(workdir) / "metrics.jsonl"
        _remove_lines_after(path, start)
        self._path, self._file = path, path.open("ab", buffering=0)
        self._events = EventFile(Path(workdir) / "tensorboard", purge_step=start + 1)

    def write(self, step: int, split: str, metrics: dict[str, float], **times: float) -> None:
        """Write the metrics of a split, "train" or "val", at a finished step; `times` holds all that may vary."""
        if not self._is_writer:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        origin = {"step": step, "stage": self._stage, "split": split}
        line = {**origin, **finite, "time": {"unix": round(time.time(), 3), **times}}
        self._append((json.dumps(line, allow_nan=False) + "\n").encode())
        scalars = {f"{split}/{name}": value for name, value in (finite | times).items() if value is not None}
        self._events.add_scalars(scalars, step)

    def _append(self, line: bytes) -> None:
        """Append a line whole or not at all; InputError where the disk is full."""
        try:
            append_whole(self._file, line)
        except OSError as error:
            raise unwritable(self._path, error, cure="make room and start again") from error

    def close(self) -> None:
        """Close both files."""
        if self._is_writer:
            self._file.close()
            self._events.close()


def _remove_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    lines = [line for line in path.read_text().splitlines(keepends=True) if _step(line) <= step]
    with atomic_write(path) as file:
        file.write("".join(lines).encode())


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf  # a kill cut this line off
