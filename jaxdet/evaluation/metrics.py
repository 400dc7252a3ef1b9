"""The metrics of an evaluation: a table on screen and metrics.json."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import rich.box
import rich.console
import rich.table
import rich.text

from jaxdet.evaluation.coco_ap import coco_statistics
from jaxdet.evaluation.strict_json import strict_json
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.voc_ap import average_precision, mean_ap
from jaxdet.io.output_folder import OutputFolder

METRICS = "metrics.json"
VOC_SCORES = {  # name in metrics.json -> (metric, IoU threshold) of average_precision
    "voc07@0.5": ("voc07", 0.5),
    "voc10@0.5": ("voc10", 0.5),
    "voc10@0.75": ("voc10", 0.75),
}


def summarize(
    detections: DetectionTable,
    ground_truth: GroundTruthTable,
    class_names: Sequence[str],
    *,
    match_at_threshold: bool = False,
) -> dict[str, Any]:
    """Score a split by every metric.

    Args:
      class_names: without the background; label k is class_names[k-1].
      match_at_threshold: of the VOC metrics; see average_precision.

    Returns:
      {"mAP": {"voc07@0.5", "voc10@0.5", "voc10@0.75"}, "coco": COCO's twelve metrics, "classes": {name: the three
      APs, COCO's "AP", "objects" (not difficult), "difficult", "detections"}}; NaN for a class without objects, which
      the means ignore.
    """
    num_classes = len(class_names)
    scores = {
        name: average_precision(
            detections,
            ground_truth,
            num_classes=num_classes,
            metric=metric,
            iou_threshold=threshold,
            match_at_threshold=match_at_threshold,
        )
        for name, (metric, threshold) in VOC_SCORES.items()
    }

    def count(labels: np.ndarray) -> list[int]:
        return np.bincount(labels, minlength=num_classes + 1)[1:].tolist()

    columns = {name: per_class.tolist() for name, per_class in scores.items()}
    coco, coco_per_class = coco_statistics(detections, ground_truth, num_classes=num_classes)
    columns["AP"] = coco_per_class.tolist()
    columns["objects"] = count(ground_truth.labels[~ground_truth.difficult])
    columns["difficult"] = count(ground_truth.labels[ground_truth.difficult])
    columns["detections"] = count(detections.labels)
    return {
        "mAP": {name: mean_ap(per_class) for name, per_class in scores.items()},
        "coco": coco,
        "classes": {name: {c: columns[c][k] for c in columns} for k, name in enumerate(class_names)},
    }


def print_table(summary: dict[str, Any], stream: TextIO | None = None) -> None:
    """Print the result of `summarize`, one line per class; ruled and bold on a terminal, plain text elsewhere."""
    stream = stream or sys.stdout
    console = rich.console.Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 160  # lines of a log file are not wrapped
    table = rich.table.Table(box=rich.box.SIMPLE if console.is_terminal else None, show_footer=True)
    table.title, table.title_justify = "Average precision (VOC metric @ IoU threshold)", "left"
    table.add_column("class", footer="mean", overflow="fold")
    for column in ("objects", "detections"):
        table.add_column(column, justify="right")
    for column in VOC_SCORES:
        table.add_column(column, justify="right", footer=_score(summary["mAP"][column]))
    for name, row in summary["classes"].items():
        counts = [str(row[column]) for column in ("objects", "detections")]
        table.add_row(rich.text.Text(name), *counts, *(_score(row[column]) for column in VOC_SCORES))
    console.print(table)
    console.print("COCO: " + "  ".join(f"{name} {_score(value)}" for name, value in summary["coco"].items()))
    if "proposals" in summary:
        console.print("Proposals: " + "  ".join(f"{name} {value:.3f}" for name, value in summary["proposals"].items()))


def write_metrics(output: OutputFolder, summary: dict[str, Any]) -> None:
    """Write the result of `summarize` to metrics.json; NaN becomes null."""
    output.write(METRICS, strict_json(summary))


def holds_metrics(folder: Path) -> bool:
    """Return whether a folder has a metrics.json with the entries that every version of evaluate.py has written."""
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(metrics, dict) or not {"mAP", "coco", "classes"} <= metrics.keys():
        return False
    return isinstance(metrics["mAP"], dict) and VOC_SCORES.keys() <= metrics["mAP"].keys()


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
