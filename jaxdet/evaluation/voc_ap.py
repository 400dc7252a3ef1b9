"""PASCAL VOC's average precision (Everingham et al. 2010, section 4.2) over flat tables."""

import numpy as np

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, check_labels
from jaxdet.ops.boxes_np import box_iou


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

    A detection belongs to the ground truth of its image and class that it overlaps most, difficult ones included, and
    matches it if IoU > iou_threshold, as in py-faster-rcnn. The first match by descending score is a true positive, a
    later one a false positive; a match with a difficult object counts as neither. Equal scores keep the order of the
    table.

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
    true_positive, ignored = _judge(detections, ground_truth, iou_threshold, match_at_threshold)
    order = np.argsort(-detections.scores, kind="stable")
    order = order[~ignored[order]]
    result = np.full(num_classes, np.nan)
    for label in range(1, num_classes + 1):
        positives = np.sum((ground_truth.labels == label) & ~ground_truth.difficult)
        if positives:
            hits = np.cumsum(true_positive[order[detections.labels[order] == label]])
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


def _judge(
    detections: DetectionTable, ground_truth: GroundTruthTable, iou_threshold: float, match_at_threshold: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each detection is a true positive, and whether it is ignored: bool[n], bool[n]."""
    iou, truth = _most_overlapped(detections, ground_truth)

    # Ignore matches with difficult objects.
    matched = np.flatnonzero(iou >= iou_threshold if match_at_threshold else iou > iou_threshold)
    difficult = ground_truth.difficult[truth[matched]]
    ignored, true_positive = np.zeros((2, len(iou)), bool)
    ignored[matched[difficult]] = True

    # Of the matches with one object the highest score is a true positive.
    claims = matched[~difficult]
    claims = claims[np.argsort(-detections.scores[claims], kind="stable")]
    _, first = np.unique(truth[claims], return_index=True)
    true_positive[claims[first]] = True
    return true_positive, ignored


def _most_overlapped(detections: DetectionTable, ground_truth: GroundTruthTable) -> tuple[np.ndarray, np.ndarray]:
    """Return each detection's best IoU f64[n] and the row of that ground truth i64[n]; 0 and 0 where there is none."""
    n = len(detections.image)
    best_iou, best_truth = np.zeros(n), np.zeros(n, np.int64)
    pair_detection, pair_truth = _pairs_of_one_image_and_class(detections, ground_truth)
    iou = box_iou(detections.boxes[pair_detection], ground_truth.boxes[pair_truth])
    order = np.lexsort((pair_truth, -iou, pair_detection))  # best pair of each detection first, ties by row
    row, first = np.unique(pair_detection[order], return_index=True)
    best_iou[row], best_truth[row] = iou[order][first], pair_truth[order][first]
    return best_iou, best_truth


def _pairs_of_one_image_and_class(
    detections: DetectionTable, ground_truth: GroundTruthTable
) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of a detection row and a ground-truth row of equal image and label: i64[m], i64[m]."""
    # Sort the ground truth by a key of image and label, and find the range of each detection's key in it.
    stride = 1 + max(detections.labels.max(initial=0), ground_truth.labels.max(initial=0))
    detection_keys = detections.image.astype(np.int64) * stride + detections.labels
    keys = ground_truth.image.astype(np.int64) * stride + ground_truth.labels
    order = np.argsort(keys, kind="stable")
    start, stop = (np.searchsorted(keys[order], detection_keys, side=side) for side in ("left", "right"))

    # List the pairs of each range one after the other.
    count = stop - start
    pair_detection = np.repeat(np.arange(len(detection_keys)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return pair_detection, order[np.repeat(start, count) + offset]
