"""The labelled regions of an image, from which R-CNN's SVMs and box regressors are trained."""

import dataclasses

import numpy as np

from jaxdet.ops.boxes_np import box_deltas, box_iou
from jaxdet.types import Annotation

MIN_IOU = 0.6  # box regression trains on regions above this IoU with the best ground truth box of any class


@dataclasses.dataclass(frozen=True)
class Regions:
    """The regions of one image in the order of its features: the ground truth boxes, then the proposals."""

    boxes: np.ndarray  # f32[n,4] in original pixels
    labels: np.ndarray  # i32[n] 1..K for ground truth, 0 for a proposal
    overlaps: np.ndarray  # f32[n,K] IoU with the best ground truth box of each class; 0 where there is none


def regions_of(annotation: Annotation, proposals: np.ndarray, *, num_classes: int) -> Regions:
    """Return the ground truth of an image followed by its proposals f32[P,4], both in original pixels.

    Difficult objects count like the others, as in the original (roidb_from_voc).
    """
    boxes = np.concatenate([annotation.boxes, proposals]).astype(np.float32)
    labels = np.concatenate([annotation.labels, np.zeros(len(proposals), np.int32)]).astype(np.int32)
    iou = box_iou(boxes[:, None], annotation.boxes[None])  # [n,G]
    overlaps = np.zeros((len(boxes), num_classes), np.float32)
    for column, label in zip(iou.T, annotation.labels, strict=True):
        np.maximum(overlaps[:, label - 1], column, out=overlaps[:, label - 1])
    return Regions(boxes, labels, overlaps)


def box_examples(regions: Regions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the regions close enough to an object to train its box regressor on (R-CNN, appendix C).

    Returns:
      rows i64[m] of the regions, labels i32[m] 1..K of their best ground truth boxes, and deltas f64[m,4] = (dx, dy,
      dw, dh) from region to that box, as in ops encode. Ground truth boxes are examples, too.
    """
    truth = regions.labels > 0
    iou = box_iou(regions.boxes[:, None], regions.boxes[truth][None])
    rows = np.flatnonzero(iou.max(axis=1, initial=0.0) > MIN_IOU)
    best = iou[rows].argmax(axis=1) if len(rows) else rows
    return rows, regions.labels[truth][best], box_deltas(regions.boxes[rows], regions.boxes[truth][best])
