"""PASCAL VOC's average precision (Everingham et al. 2010, section 4.2) over flat tables."""

import numpy as np

from jaxdet.evaluation.matching import match_detections
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, check_labels


def average_precision(
    detections: DetectionTable,
    ground_truth: GroundTruthTable,
    *,
    num_classes: int,
    metric: str,
    iou_threshold: float = 0.5,
    match_at_threshold: bool = False,
) -> np.ndarray:
    """Compute each class's average precision f64[K], entry k-1 for label k.

    The first match of an object by descending score is a true positive, a later one a false positive; a match with a
    difficult object counts as neither. matching.match_detections says what a match is. Equal scores keep the order of
    the table.

    Args:
      metric: 'voc07', the mean of 11 interpolated precisions, or 'voc10', the area under the interpolated curve.
      num_classes: K, without the background.
      match_at_threshold: a match has IoU >= iou_threshold instead, as in the MATLAB devkit.

    Returns:
      f64[K]; NaN for a class with difficult objects only or none; `mean_ap` ignores it.

    Raises:
      ValueError: unknown metric, or labels outside 1..K.
    """
    if metric not in ("voc07", "voc10"):
        raise ValueError(f"average_precision: metric must be 'voc07' or 'voc10', got {metric!r}; see also coco_ap.")
    check_labels(detections, num_classes)
    check_labels(ground_truth, num_classes)
    matching = match_detections(detections, ground_truth, iou_threshold=iou_threshold, at_threshold=match_at_threshold)
    order = np.argsort(-detections.scores, kind="stable")
    order = order[~matching.ignored[order]]
    result = np.full(num_classes, np.nan)
    for label in range(1, num_classes + 1):
        positives = np.sum((ground_truth.labels == label) & ~ground_truth.difficult)
        if positives:
            hits = np.cumsum(matching.right[order[detections.labels[order] == label]])
            recall, precision = hits / positives, hits / np.arange(1, len(hits) + 1)
            result[label - 1] = (_eleven_points if metric == "voc07" else _area)(recall, precision)
    return result


def mean_ap(per_class: np.ndarray) -> float:
    """Compute the mean over the classes that have objects (are not NaN); NaN where no class has."""
    defined = per_class[~np.isnan(per_class)]
    return float(defined.mean()) if defined.size else float("nan")


def _eleven_points(recall: np.ndarray, precision: np.ndarray) -> np.floating:
    # Written as in py-faster-rcnn: its fourth threshold is 0.30000000000000004, which a recall of 3/10 does not reach.
    return np.mean([precision[recall >= t].max(initial=0.0) for t in np.arange(0.0, 1.1, 0.1)])


def _area(recall: np.ndarray, precision: np.ndarray) -> np.floating:
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return np.sum(np.diff(recall, prepend=0.0) * envelope)
