"""The confusion matrix of a detector: which classes it takes for which, and for background."""

import numpy as np

from jaxdet.evaluation.matching import Matching, pairs_of_equal_keys
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.ops.boxes_np import box_iou

IOU_THRESHOLD = 0.5


def confusion_matrix(
    detections: DetectionTable,
    ground_truth: GroundTruthTable,
    matching: Matching,
    *,
    num_classes: int,
    score_threshold: float,
) -> np.ndarray:
    """Count the pairs of a true and a detected class, i64[K+1,K+1]; entry [t-1,d-1] is of labels t and d.

    Detections with score >= score_threshold are paired with objects of IoU > 0.5, each object and detection at most
    once: pairs of one class first, then by descending IoU. The last row counts the detections without an object, the
    last column the objects without a detection. Difficult objects and the detections that match them are left out.

    This is the rule of supervision's and YOLO's confusion matrices. Unlike average precision it does not prefer the
    higher score, so of several detections of an object the diagonal has the one with the better box.

    Args:
      matching: the result of match_detections, for the detections to ignore.
    """
    used = np.flatnonzero((detections.scores >= score_threshold) & ~matching.ignored)
    easy = np.flatnonzero(~ground_truth.difficult)
    labels, truth_labels = detections.labels[used], ground_truth.labels[easy]

    # Sort the pairs that overlap enough.
    rows, truth_rows = pairs_of_equal_keys(detections.image[used], ground_truth.image[easy])
    iou = box_iou(detections.boxes[used[rows]], ground_truth.boxes[easy[truth_rows]])
    near = iou > IOU_THRESHOLD
    rows, truth_rows, iou = rows[near], truth_rows[near], iou[near]
    order = np.lexsort((-iou, labels[rows] != truth_labels[truth_rows]))

    # Take the pairs in order; label K+1 stands for background.
    paired, truth_paired = np.full(len(used), num_classes + 1), np.full(len(easy), num_classes + 1)
    for row, truth_row in zip(rows[order].tolist(), truth_rows[order].tolist(), strict=True):
        if paired[row] > num_classes and truth_paired[truth_row] > num_classes:
            paired[row], truth_paired[truth_row] = truth_labels[truth_row], labels[row]

    # A pair is counted once, as its object.
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    np.add.at(matrix, (truth_labels - 1, truth_paired - 1), 1)
    np.add.at(matrix[-1], labels[paired > num_classes] - 1, 1)
    return matrix
