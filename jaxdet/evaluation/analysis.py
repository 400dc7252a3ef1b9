"""The numbers of report.json: what a detector does wrong, and at which scores."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxdet.evaluation.confusion import confusion_matrix
from jaxdet.evaluation.curves import best_f1, precision_curve, rank
from jaxdet.evaluation.matching import Matching, match_detections
from jaxdet.evaluation.recall_by_size import recall_by_size
from jaxdet.evaluation.score_histogram import score_histogram
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, select_rows
from jaxdet.evaluation.tide import FOREGROUND_IOU, KINDS, MISSED, Errors, average_precision_gains, classify_errors

BACKGROUND_NAME = "background"


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The numbers, and the detections of at least the score threshold with their errors."""

    numbers: dict[str, Any]
    detections: DetectionTable
    matching: Matching
    errors: Errors


def analyse(
    detections: DetectionTable,
    ground_truth: GroundTruthTable,
    class_names: Sequence[str],
    *,
    default_threshold: float,
    match_at_threshold: bool,
) -> Analysis:
    """Compute what report.json holds, besides the times and the worst images.

    The score threshold of the counts is the one that maximises F1 over all classes; default_threshold where no
    detection is right. Matches have IoU 0.5 as in matching.match_detections, whatever the number.

    Returns:
      Analysis.numbers with the keys of report.json; docs/training.md explains them.
    """
    num_classes = len(class_names)
    matching = match_detections(detections, ground_truth, iou_threshold=FOREGROUND_IOU, at_threshold=match_at_threshold)
    overall = rank(detections, ground_truth, matching)
    per_class = [rank(detections, ground_truth, matching, label=k) for k in range(1, num_classes + 1)]
    best = best_f1(overall)
    threshold = default_threshold if best["threshold"] is None else best["threshold"]

    # Find the errors of all detections, and of those that the threshold leaves.
    errors = classify_errors(detections, ground_truth, matching, at_threshold=match_at_threshold)
    gains = average_precision_gains(detections, ground_truth, matching, errors, num_classes=num_classes)
    above = detections.scores >= threshold
    shown, shown_matching = select_rows(detections, above), select_rows(matching, above)
    shown_errors = classify_errors(shown, ground_truth, shown_matching, at_threshold=match_at_threshold)

    confusion = confusion_matrix(detections, ground_truth, matching, num_classes=num_classes, score_threshold=threshold)
    numbers = {
        "score_threshold": threshold,
        "best_f1": {"all": best, "classes": dict(zip(class_names, map(best_f1, per_class), strict=True))},
        "tide": {"AP": gains["AP"], "kinds": _kinds(gains, errors, shown_errors)},
        "confusion": {"classes": [*class_names, BACKGROUND_NAME], "matrix": confusion.tolist()},
        "recall_by_size": recall_by_size(detections, ground_truth, matching, score_threshold=threshold),
        "scores": score_histogram(overall),
        "precision_at_recall": {
            name: precision_curve(ranking).round(6).tolist()
            for name, ranking in zip(class_names, per_class, strict=True)
        },
    }
    return Analysis(numbers, shown, shown_matching, shown_errors)


def _kinds(gains: dict[str, float], errors: Errors, shown: Errors) -> dict[str, dict[str, Any]]:
    """Return the dAP of each kind and its number of errors, of all detections and of those above the threshold."""

    def count(errors: Errors, kind: int) -> int:
        return int(errors.missed.sum() if kind == MISSED else (errors.kind == kind).sum())

    return {
        name: {"dAP": gains[name], "count": count(errors, kind), "count_at_threshold": count(shown, kind)}
        for kind, name in enumerate(KINDS)
    }
