"""Reports of an evaluation: a table on screen, metrics.json, PASCAL's result files."""

import json
import math
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
import rich.box
import rich.console
import rich.table
import rich.text

from jaxdet.evaluation.coco_ap import coco_statistics
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.voc_ap import average_precision, mean_ap
from jaxdet.io.atomic import atomic_write
from jaxdet.io.file_name import safe_file_name

VOC_SCORES = {  # name in metrics.json -> (metric, IoU threshold) of average_precision
    "voc07@0.5": ("voc07", 0.5),
    "voc10@0.5": ("voc10", 0.5),
    "voc10@0.75": ("voc10", 0.75),
}


def summarize(detections: DetectionTable, ground_truth: GroundTruthTable, class_names: Sequence[str]) -> dict[str, Any]:
    """Score a split by every metric.

    Args:
      class_names: without the background; label k is class_names[k-1].

    Returns:
      {"mAP": {"voc07@0.5", "voc10@0.5", "voc10@0.75"}, "coco": COCO's twelve metrics, "classes": {name: the three
      APs, "objects" (not difficult), "difficult", "detections"}}; NaN for a class without objects, which the means
      ignore.
    """
    num_classes = len(class_names)
    scores = {
        name: average_precision(
            detections, ground_truth, num_classes=num_classes, metric=metric, iou_threshold=threshold
        )
        for name, (metric, threshold) in VOC_SCORES.items()
    }

    def count(labels: np.ndarray) -> list[int]:
        return np.bincount(labels, minlength=num_classes + 1)[1:].tolist()

    columns = {name: per_class.tolist() for name, per_class in scores.items()}
    columns["objects"] = count(ground_truth.labels[~ground_truth.difficult])
    columns["difficult"] = count(ground_truth.labels[ground_truth.difficult])
    columns["detections"] = count(detections.labels)
    return {
        "mAP": {name: mean_ap(per_class) for name, per_class in scores.items()},
        "coco": coco_statistics(detections, ground_truth, num_classes=num_classes),
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


def write_metrics(path: str | os.PathLike, summary: dict[str, Any]) -> None:
    """Write the result of `summarize` as JSON, atomically; NaN becomes null."""
    with atomic_write(pathlib.Path(path)) as file:
        file.write(f"{json.dumps(_without_nan(summary), indent=1, ensure_ascii=False)}\n".encode())


def write_comp4(
    folder: str | os.PathLike,
    split: str,
    detections: DetectionTable,
    image_names: Sequence[str],
    class_names: Sequence[str],
) -> None:
    """Write PASCAL's result files, `comp4_det_<split>_<class>.txt`, one per class, each atomically.

    A line is `image score xmin ymin xmax ymax` in VOC's 1-based inclusive pixels, with py-faster-rcnn's digits (%.3f,
    %.1f). These round scores into ties, so scoring the files can differ from `summarize`, which rounds nothing.
    Characters of a class name that cannot be part of a file name are percent-encoded; see io.file_name.
    """
    for k, name in enumerate(class_names, 1):
        rows = np.flatnonzero(detections.labels == k)
        boxes = detections.boxes[rows] + np.array([1, 1, 0, 0], detections.boxes.dtype)
        columns = zip(detections.image[rows].tolist(), detections.scores[rows].tolist(), boxes.tolist(), strict=True)
        lines = [
            f"{image_names[image]} {score:.3f} " + " ".join(f"{edge:.1f}" for edge in box) + "\n"
            for image, score, box in columns
        ]
        with atomic_write(pathlib.Path(folder) / safe_file_name(f"comp4_det_{split}_{name}", ".txt")) as file:
            file.write("".join(lines).encode())


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
