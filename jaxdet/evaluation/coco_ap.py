"""COCO's twelve metrics (Lin et al. 2014; cocodataset.org, detection evaluation) over flat tables."""

import itertools

import numpy as np

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, check_labels
from jaxdet.ops.boxes_np import box_area, box_iou

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # T
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
AREAS = np.array([(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)])  # A: all, small, medium, large; inclusive
MAX_DETECTIONS = (1, 10, 100)  # M, per image and class
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def coco_statistics(
    detections: DetectionTable, ground_truth: GroundTruthTable, *, num_classes: int
) -> tuple[dict[str, float], np.ndarray]:
    """Compute COCO's twelve metrics, each the mean over the classes that have objects of that size.

    Difficult objects count as ordinary ones: COCO has no such flag. Unlike in VOC a match needs IoU >= threshold,
    and a detection whose best object is matched already may match its second best. Sizes are box areas in original
    pixels.

    Returns:
      {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}; NaN where no class has
      objects of that size (pycocotools writes -1). And the AP of each class, f64[K]; NaN for a class without objects.

    Raises:
      ValueError: labels outside 1..num_classes.
    """
    check_labels(detections, num_classes)
    check_labels(ground_truth, num_classes)

    # Match the best 100 detections per image and class to objects, for every area range and IoU threshold.
    rows, rank = _top_by_image_and_class(detections)
    matched, ignored = _match_all(detections, ground_truth, rows)

    # Compute precision and recall of each class and area range, by descending score over all images.
    precision = np.full((num_classes, len(AREAS), len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS)), np.nan)
    recall = np.full((num_classes, len(AREAS), len(IOU_THRESHOLDS), len(MAX_DETECTIONS)), np.nan)
    objects = ~_outside(box_area(ground_truth.boxes))  # [n,A]
    for k in range(num_classes):
        positives = objects[ground_truth.labels == k + 1].sum(0)  # [A]
        of_class = np.flatnonzero(detections.labels[rows] == k + 1)
        of_class = of_class[np.argsort(-detections.scores[rows[of_class]], kind="stable")]
        for a in np.flatnonzero(positives):
            hit, skip = matched[of_class, a] & ~ignored[of_class, a], ignored[of_class, a]
            precision[k, a] = interpolated_precision(hit, skip, positives[a])
            for m, limit in enumerate(MAX_DETECTIONS):
                recall[k, a, :, m] = hit[rank[of_class] < limit].sum(0) / positives[a]
    return dict(zip(NAMES, _summary(precision, recall), strict=True)), precision[:, 0].mean((1, 2))


def _summary(precision: np.ndarray, recall: np.ndarray) -> list[float]:
    """Average over classes, thresholds and recalls, in the order of NAMES; f64[K,A,T,101] and f64[K,A,T,M]."""
    sizes = range(1, len(AREAS))
    chosen = [precision[:, 0], precision[:, 0, 0], precision[:, 0, 5], *(precision[:, a] for a in sizes)]
    chosen += [recall[:, 0, :, m] for m in range(len(MAX_DETECTIONS))] + [recall[:, a, :, -1] for a in sizes]
    defined = [values[~np.isnan(values)] for values in chosen]
    return [float(values.mean()) if values.size else float("nan") for values in defined]


def _outside(area: np.ndarray) -> np.ndarray:
    """Return which areas f64[n] lie outside each range: bool[n,A]."""
    return (area[:, None] < AREAS[:, 0]) | (area[:, None] > AREAS[:, 1])


def _top_by_image_and_class(detections: DetectionTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the best 100 detections per image and class, grouped and by descending score; and their rank.

    The rank i64[n] counts from 0 in each group. Equal scores of one class keep the order of the images, as in
    pycocotools, because the image is the first key.
    """
    order = np.lexsort((-detections.scores, detections.labels, detections.image))
    position = np.arange(len(order))
    new_group = np.diff(detections.image[order], prepend=-1) != 0
    new_group |= np.diff(detections.labels[order], prepend=-1) != 0
    rank = position - np.maximum.accumulate(np.where(new_group, position, 0))
    top = rank < MAX_DETECTIONS[-1]
    return order[top], rank[top]


def _match_all(
    detections: DetectionTable, ground_truth: GroundTruthTable, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each detection in `rows` is matched, and whether it is ignored: bool[n,A,T] each."""
    # An unmatched detection is ignored where its own area lies outside the range.
    boxes = detections.boxes[rows]
    shape = (len(rows), len(AREAS), len(IOU_THRESHOLDS))
    matched = np.zeros(shape, bool)
    ignored = np.broadcast_to(_outside(box_area(boxes))[:, :, None], shape).copy()

    # Group the objects by image and class.
    by_group: dict[tuple[int, int], list[int]] = {}
    for row, group in enumerate(zip(ground_truth.image.tolist(), ground_truth.labels.tolist(), strict=True)):
        by_group.setdefault(group, []).append(row)

    # Match each group of detections, which are adjacent rows, to the objects of its group.
    keys = np.stack([detections.image[rows], detections.labels[rows]], axis=1)
    starts = np.flatnonzero((np.diff(keys, axis=0, prepend=-1) != 0).any(1))
    for start, stop in itertools.pairwise([*starts, len(rows)]):
        truth = ground_truth.boxes[by_group.get(tuple(keys[start].tolist()), [])]
        if len(truth):
            iou = box_iou(boxes[start:stop, None], truth[None])
            _match_group(iou, _outside(box_area(truth)), matched[start:stop], ignored[start:stop])
    return matched, ignored


def _match_group(iou: np.ndarray, truth_ignored: np.ndarray, matched: np.ndarray, ignored: np.ndarray) -> None:
    """Match detections of one image and class to its objects, by descending score; fill `matched` and `ignored`.

    An object outside the area range is matched only if no other fits; its detection is then ignored. Of equal IoUs the
    last object wins, as in pycocotools.

    Args:
      iou: f64[D,G], detections by descending score.
      truth_ignored: bool[G,A] whether the object's area lies outside the range.
      matched: bool[D,A,T] to fill.
      ignored: bool[D,A,T] to fill; holds the values for unmatched detections.
    """
    truth_ignored = truth_ignored.T[:, None, :]  # [A,1,G]
    taken = np.zeros((len(AREAS), len(IOU_THRESHOLDS), iou.shape[1]), bool)
    for d in np.flatnonzero(iou.max(1) >= IOU_THRESHOLDS[0]):
        fits = ~taken & (iou[d] >= IOU_THRESHOLDS[:, None])  # [A,T,G]
        inside = fits & ~truth_ignored
        pool = np.where(inside.any(-1, keepdims=True), inside, fits)
        best = iou.shape[1] - 1 - np.where(pool, iou[d], -1.0)[..., ::-1].argmax(-1)  # [A,T]
        chosen = pool & (np.arange(iou.shape[1]) == best[..., None])
        taken |= chosen
        matched[d] = chosen.any(-1)
        ignored[d] = np.where(matched[d], (chosen & truth_ignored).any(-1), ignored[d])


def interpolated_precision(hit: np.ndarray, skip: np.ndarray, positives: int) -> np.ndarray:
    """Return the best precision at or beyond each of 101 recalls, f64[T,101], from bool[n,T] by descending score."""
    hits, misses = np.cumsum(hit, axis=0), np.cumsum(~hit & ~skip, axis=0)
    precision = hits / np.maximum(hits + misses, 1)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    envelope = np.concatenate([envelope, np.zeros((1, envelope.shape[1]))])  # 0 at recalls never reached
    reached = [np.searchsorted(recall, RECALL_THRESHOLDS) for recall in (hits / positives).T]
    return np.stack([envelope[index, t] for t, index in enumerate(reached)])
