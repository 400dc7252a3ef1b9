"""Kinds of errors and the average precision that each costs (TIDE: Bolya et al. 2020)."""

import dataclasses

import numpy as np

from jaxdet.evaluation.coco_ap import interpolated_precision
from jaxdet.evaluation.matching import Matching, best_pairs, overlaps, pairs_of_equal_keys
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.evaluation.voc_ap import mean_ap
from jaxdet.ops.boxes_np import box_iou

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(len(KINDS))
NO_ERROR = -1
FOREGROUND_IOU, BACKGROUND_IOU = 0.5, 0.1  # t_f and t_b (section 2.2)


@dataclasses.dataclass(frozen=True)
class Errors:
    """The kind of each error; a kind is an index into KINDS."""

    kind: np.ndarray  # i64[n] of each detection; NO_ERROR where it is right or ignored
    truth: np.ndarray  # i64[n] row of the object that a detection of the first two kinds would find; -1 elsewhere
    missed: np.ndarray  # bool[m] objects that are not difficult, and that no detection finds or would find


def classify_errors(
    detections: DetectionTable, ground_truth: GroundTruthTable, matching: Matching, *, at_threshold: bool
) -> Errors:
    """Give each wrong detection the first kind that fits, and find the missed objects (section 2.2).

    With the best IoU of objects of the same class and of other classes:
      localisation: the same class, from t_b to t_f. classification: another class, above t_f. duplicate: the same
      class, above t_f, but a higher score has found the object. background: any class, at most t_b. both: the rest.
    An object is missed if no detection finds it and none would, with the right class or a better box.

    The paper's code matches a detection whose best object is found already to its second best, as COCO does. Here it is
    a duplicate, as in VOC; the two differ only where objects of one class overlap. Difficult objects are no objects
    here, and matches with them no errors.

    Args:
      matching: at FOREGROUND_IOU.
      at_threshold: of `matching`: whether an IoU of t_f itself is a match.
    """
    # Find the most overlapped objects of the same class and of other classes.
    easy = np.flatnonzero(~ground_truth.difficult)
    rows, truth_rows = pairs_of_equal_keys(detections.image, ground_truth.image[easy])
    truth_rows = easy[truth_rows]
    iou = box_iou(detections.boxes[rows], ground_truth.boxes[truth_rows])
    same = detections.labels[rows] == ground_truth.labels[truth_rows]
    count = len(detections.image)
    same_iou, same_truth = best_pairs(rows[same], truth_rows[same], iou[same], count=count)
    other_iou, other_truth = best_pairs(rows[~same], truth_rows[~same], iou[~same], count=count)

    # Choose the first kind that fits.
    duplicate, mislabelled = (
        overlaps(best, FOREGROUND_IOU, at_threshold=at_threshold) for best in (same_iou, other_iou)
    )
    fits = {
        LOCALISATION: ~duplicate & (same_iou >= BACKGROUND_IOU),
        CLASSIFICATION: mislabelled,
        DUPLICATE: duplicate,
        BACKGROUND: np.maximum(same_iou, other_iou) <= BACKGROUND_IOU,
    }
    kind = np.select([~matching.wrong, *fits.values()], [NO_ERROR, *fits], BOTH)
    truth = np.select([kind == LOCALISATION, kind == CLASSIFICATION], [same_truth, other_truth], -1)

    missed = ~ground_truth.difficult
    missed[matching.truth[matching.right]] = False
    missed[truth[truth >= 0]] = False
    return Errors(kind, truth, missed)


def average_precision_gains(
    detections: DetectionTable,
    ground_truth: GroundTruthTable,
    matching: Matching,
    errors: Errors,
    *,
    num_classes: int,
) -> dict[str, float]:
    """Compute how much the mean AP at IoU 0.5 rises when the errors of one kind are corrected: dAP (section 2.3).

    A wrong class or box is corrected where its object is not found otherwise, for the highest score of each object; all
    other wrong detections are removed, and missed objects are not counted. AP is COCO's, of precisions at 101 recalls;
    it is not the area under the curve, but the paper's measure.

    Returns:
      {"AP": the mean AP without corrections, kind: dAP of each of KINDS}, in 0..1; the gains need not sum to 1 - AP.
      Classes without objects are left out of a mean.
    """
    positives = np.bincount(ground_truth.labels[~ground_truth.difficult], minlength=num_classes + 1)[1:]
    corrected = _corrected(detections, matching, errors)

    def ap(kind: int) -> float:
        of_kind = errors.kind == kind
        now_right = corrected & of_kind
        labels = detections.labels.copy()
        labels[now_right] = ground_truth.labels[errors.truth[now_right]]
        right = matching.right | now_right
        counted = right | (matching.wrong & ~of_kind)
        left = positives
        if kind == MISSED:
            left = positives - np.bincount(ground_truth.labels[errors.missed], minlength=num_classes + 1)[1:]
        return _mean_ap(labels[counted], detections.scores[counted], right[counted], left)

    base = ap(len(KINDS))
    return {"AP": base} | {name: max(ap(kind) - base, 0.0) for kind, name in enumerate(KINDS)}


def _corrected(detections: DetectionTable, matching: Matching, errors: Errors) -> np.ndarray:
    """Return the errors that become right with another class or box, one for each object not found, bool[n]."""
    rows = np.flatnonzero((errors.truth >= 0) & ~np.isin(errors.truth, matching.truth[matching.right]))
    rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
    _, first = np.unique(errors.truth[rows], return_index=True)
    corrected = np.zeros(len(errors.kind), bool)
    corrected[rows[first]] = True
    return corrected


def _mean_ap(labels: np.ndarray, scores: np.ndarray, right: np.ndarray, positives: np.ndarray) -> float:
    """Compute the mean of the classes' AP from precisions at 101 recalls; `positives` i64[K] counts their objects."""
    order = np.lexsort((-scores, labels))
    starts = np.searchsorted(labels[order], np.arange(1, len(positives) + 2))
    per_class = np.full(len(positives), np.nan)
    for k in np.flatnonzero(positives):
        hit = right[order[starts[k] : starts[k + 1]], None]
        per_class[k] = interpolated_precision(hit, np.zeros_like(hit), positives[k]).mean()
    return mean_ap(per_class)
