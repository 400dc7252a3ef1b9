"""Where the figures of a run go: metrics.jsonl for programs, TensorBoard events for people."""

import json
import math
import os
import time
from pathlib import Path

import jax
import tensorboardX

from jaxdet.io.atomic import atomic_write


class MetricsWriter:
    """Appends one line of JSON, and the same scalars as events, for each report; process 0 only.

    A line is {"step", "stage", "split", figures..., "time": {...}}: everything but "time" repeats exactly when a run is
    repeated or resumed. Figures that are not finite are written as null.
    """

    def __init__(self, workdir: str | os.PathLike, *, stage: str, start: int):
        """Opens workdir/metrics.jsonl and workdir/tensorboard for a stage that goes on after step `start`.

        Later lines, from a run that was killed after its last checkpoint, are removed: they are about to come again.
        """
        self._leads, self._stage = jax.process_index() == 0, stage
        if not self._leads:
            return
        path = Path(workdir) / "metrics.jsonl"
        _remove_lines_after(path, start)
        self._file = path.open("a")
        self._events = tensorboardX.SummaryWriter(str(Path(workdir) / "tensorboard"), purge_step=start + 1)

    def write(self, step: int, split: str, figures: dict[str, float], **times: float) -> None:
        """Writes the figures of a split, "train" or "val", at a finished step; `times` holds all that may vary."""
        if not self._leads:
            return
        figures = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        about = {"step": step, "stage": self._stage, "split": split}
        line = {**about, **figures, "time": {"unix": round(time.time(), 3), **times}}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in (figures | times).items():
            if value is not None:
                self._events.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flushes the events and closes both files."""
        if self._leads:
            self._file.close()
            self._events.close()


def _remove_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines(keepends=True) if _step(line) <= step]
    with atomic_write(path) as file:
        file.write("".join(kept).encode())


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf  # cut off by a kill
