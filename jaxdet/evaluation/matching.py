"""Assignment of detections to ground truth, as PASCAL VOC scores them (Everingham et al. 2010, section 4.2)."""

import dataclasses

import numpy as np

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.ops.boxes_np import box_iou


@dataclasses.dataclass(frozen=True)
class Matching:
    """The most overlapped object of each detection's image and class, and what follows for the detection."""

    truth: np.ndarray  # i64[n] row of that object; 0 where there is none
    iou: np.ndarray  # f64[n] IoU with it; 0 where there is none
    right: np.ndarray  # bool[n] the first match of an object that is not difficult, by descending score
    ignored: np.ndarray  # bool[n] a match of a difficult object; counts as neither right nor wrong

    @property
    def wrong(self) -> np.ndarray:
        """The detections that are neither right nor ignored, bool[n]."""
        return ~self.right & ~self.ignored


def match_detections(
    detections: DetectionTable, ground_truth: GroundTruthTable, *, iou_threshold: float, at_threshold: bool
) -> Matching:
    """Match detections to the objects of their image and class that they overlap most, difficult ones included.

    A match has IoU > iou_threshold, as in py-faster-rcnn. Of several matches of one object the highest score is right,
    of equal scores the first row; an object is never matched by a detection that overlaps another one more.

    Args:
      at_threshold: a match has IoU >= iou_threshold instead, as in the MATLAB devkit.
    """
    # Find the most overlapped object of each detection.
    n = len(detections.image)
    stride = 1 + max(detections.labels.max(initial=0), ground_truth.labels.max(initial=0))
    keys = [table.image.astype(np.int64) * stride + table.labels for table in (detections, ground_truth)]
    rows, truth_rows = pairs_of_equal_keys(*keys)
    iou = box_iou(detections.boxes[rows], ground_truth.boxes[truth_rows])
    best_iou, truth = best_pairs(rows, truth_rows, iou, count=n)

    # Ignore matches with difficult objects.
    matched = np.flatnonzero(overlaps(best_iou, iou_threshold, at_threshold=at_threshold))
    difficult = ground_truth.difficult[truth[matched]]
    ignored, right = np.zeros((2, n), bool)
    ignored[matched[difficult]] = True

    # Of the matches with one object the highest score is right.
    claims = matched[~difficult]
    claims = claims[np.argsort(-detections.scores[claims], kind="stable")]
    _, first = np.unique(truth[claims], return_index=True)
    right[claims[first]] = True
    return Matching(truth, best_iou, right, ignored)


def overlaps(iou: np.ndarray, threshold: float, *, at_threshold: bool) -> np.ndarray:
    """Return which IoUs are above the threshold, or at least as high, bool[n]."""
    return iou >= threshold if at_threshold else iou > threshold


def best_pairs(
    rows: np.ndarray, truth_rows: np.ndarray, iou: np.ndarray, *, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest IoU f64[count] of each row and the ground truth's row i64[count]; 0 and 0 without a pair.

    Args:
      rows, truth_rows: i64[m] the pairs: rows of a table of `count` detections, and rows of the ground truth.
      iou: f64[m] of the pairs; of equal IoUs of a detection the first row of the ground truth is chosen.
    """
    best_iou, best_truth = np.zeros(count), np.zeros(count, np.int64)
    order = np.lexsort((truth_rows, -iou, rows))
    row, first = np.unique(rows[order], return_index=True)
    best_iou[row], best_truth[row] = iou[order][first], truth_rows[order][first]
    return best_iou, best_truth


def pairs_of_equal_keys(detection_keys: np.ndarray, truth_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of a detection's and a ground truth's row with the same key, i64[m], i64[m].

    With images as keys these are all pairs that can overlap.
    """
    # Sort the ground truth's keys and find the range of each detection's key in them.
    order = np.argsort(truth_keys, kind="stable")
    start, stop = (np.searchsorted(truth_keys[order], detection_keys, side=side) for side in ("left", "right"))

    # List the pairs of each range one after the other.
    count = stop - start
    rows = np.repeat(np.arange(len(detection_keys)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[np.repeat(start, count) + offset]
