"""curves.png: the losses and validation metrics of a run, drawn from its metrics.jsonl."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxdet.checks import install
from jaxdet.io.atomic import atomic_write
from jaxdet.training.drawing import optional_drawing

log = logging.getLogger(__name__)

NAME = "curves.png"
OTHERS = ("step", "stage", "split", "time")  # in a line, besides the metrics
MISSING = f"{NAME} is not drawn without matplotlib: {install('plots')}"


class Curves:
    """Draws WORKDIR/curves.png from WORKDIR/metrics.jsonl, again at each validation; for process 0."""

    def __init__(self, workdir: str | os.PathLike):
        self._workdir, self._available = Path(workdir), True

    def draw(self) -> None:
        """Draw the metrics so far; without matplotlib say so, once."""
        if not self._available:
            return
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            self._available = False
            log.info(MISSING)
            return
        lines = (self._workdir / "metrics.jsonl").read_text().splitlines()
        series = metric_series(json.loads(line) for line in lines)
        with optional_drawing(self._workdir / NAME):
            figure = Figure(figsize=(10, 2.6 * max(len(series), 1)), layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.subplots(max(len(series), 1), sharex=True, squeeze=False)[:, 0]
            for axis, (title, curves) in zip(axes, series.items(), strict=False):
                for name, points in curves.items():
                    axis.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else "")
                axis.set_ylabel(title)
                axis.grid(alpha=0.3)
                axis.legend(fontsize="small")
            axes[-1].set_xlabel("step")
            with atomic_write(self._workdir / NAME) as file:
                figure.savefig(file, format="png", dpi=100)


def metric_series(lines: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return panel -> curve -> points (step, value) of the lines of a metrics.jsonl.

    The panels are the losses, mAP, the learning rate, and the rest; missing values are left out.
    """
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {"loss": {}, "mAP": {}, "learning rate": {}, "others": {}}
    for line in lines:
        for name, value in line.items():
            if name in OTHERS or value is None:
                continue
            label = name if line["split"] == "train" or name.startswith("val") else f"{line['split']}_{name}"
            panels[_panel(name)].setdefault(label, []).append((line["step"], value))
    return {title: curves for title, curves in panels.items() if curves}


def _panel(name: str) -> str:
    if "map" in name:
        return "mAP"
    if name == "learning_rate":
        return "learning rate"
    return "others" if name == "grad_norm" else "loss"
