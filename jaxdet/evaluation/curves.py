"""Precision and recall by descending score, and the score threshold with the best F1."""

import dataclasses
from typing import Any

import numpy as np

from jaxdet.evaluation.coco_ap import RECALL_THRESHOLDS, interpolated_precision
from jaxdet.evaluation.matching import Matching
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable

RECALLS = RECALL_THRESHOLDS  # f64[101], 0 to 1


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Detections by descending score, without the ignored ones, and the number of objects to find."""

    scores: np.ndarray  # f[n]
    right: np.ndarray  # bool[n]
    positives: int  # objects that are not difficult


def rank(
    detections: DetectionTable, ground_truth: GroundTruthTable, matching: Matching, *, label: int | None = None
) -> Ranking:
    """Rank the detections of a class, or of all classes together (label None)."""
    counted, objects = ~matching.ignored, ~ground_truth.difficult
    if label is not None:
        counted, objects = counted & (detections.labels == label), objects & (ground_truth.labels == label)
    rows = np.flatnonzero(counted)
    rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
    return Ranking(detections.scores[rows], matching.right[rows], int(objects.sum()))


def precision_curve(ranking: Ranking) -> np.ndarray:
    """Return the best precision at or beyond each of RECALLS, f64[101]; 0 beyond the highest recall.

    NaN where there are no objects.
    """
    if not ranking.positives:
        return np.full(len(RECALLS), np.nan)
    hit = ranking.right[:, None]
    return interpolated_precision(hit, np.zeros_like(hit), ranking.positives)[0]


def best_f1(ranking: Ranking) -> dict[str, Any]:
    """Find the score threshold that maximises F1, the harmonic mean of precision and recall.

    Returns:
      "threshold", of equal F1 the highest; "f1", "precision" and "recall" of the detections with score >= threshold.
      All are None where no detection is right.
    """
    hits, last = np.cumsum(ranking.right), np.diff(ranking.scores, append=-np.inf) != 0  # equal scores go together
    count = np.arange(1, len(hits) + 1)
    f1 = np.where(last, 2 * hits / np.maximum(count + ranking.positives, 1), 0.0)
    if not ranking.right.any():
        return dict.fromkeys(("threshold", "f1", "precision", "recall"))
    i = int(f1.argmax())
    values = ranking.scores[i], f1[i], hits[i] / count[i], hits[i] / ranking.positives
    return dict(zip(("threshold", "f1", "precision", "recall"), map(float, values), strict=True))
