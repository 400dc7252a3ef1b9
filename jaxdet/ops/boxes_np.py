"""Geometry of boxes on the host, the numpy twin of ops.boxes; areas, IoU and deltas in float64."""

import numpy as np


def box_iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the IoU of boxes f[...,4] with boxes f[...,4], elementwise after broadcasting; 0 for an empty union.

    On continuous boxes (xmin-1, ymin-1, xmax, ymax) this is exactly the `+1` rule of the VOC devkit on its 1-based
    inclusive numbers.
    """
    a, b = np.asarray(boxes_a, np.float64), np.asarray(boxes_b, np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.maximum(sides, 0).prod(-1)
    union = box_area(a) + box_area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas f64[...] of boxes f[...,4] in square pixels."""
    boxes = np.asarray(boxes, np.float64)
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def box_clip(boxes: np.ndarray, image_size: np.ndarray) -> np.ndarray:
    """Return boxes f[n,4] clipped to their images, in their own dtype.

    Args:
      image_size: [n,2] (height, width) of each box's image, or [2] for all boxes.
    """
    return np.clip(boxes, 0, np.tile(np.asarray(image_size, boxes.dtype)[..., ::-1], 2))


def box_deltas(boxes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return (dx, dy, dw, dh) f64[n,4] from boxes f[n,4] to targets f[n,4], as ops.boxes.encode(targets, boxes).

    All sides must be positive.
    """
    boxes, targets = np.asarray(boxes, np.float64), np.asarray(targets, np.float64)
    side, target_side = boxes[:, 2:] - boxes[:, :2], targets[:, 2:] - targets[:, :2]
    shift = (targets[:, :2] + targets[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2 / side
    return np.concatenate([shift, np.log(target_side / side)], axis=1)
