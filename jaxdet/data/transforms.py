"""Resizing, flipping and padding one record: the way from original pixels into a row of a batch."""

import cv2
import numpy as np


def resize_scale(height: int, width: int, *, short_side: int, long_side: int) -> float:
    """Resized pixels per original pixel: the short side becomes `short_side` unless the long one exceeds `long_side`.

    The rule of py-faster-rcnn's `prep_im_for_blob` (Fast R-CNN, 2.3.4: 600 and 1000).
    """
    shorter, longer = min(height, width), max(height, width)
    scale = short_side / shorter
    return long_side / longer if round(scale * longer) > long_side else scale


def resized_size(height: int, width: int, *, short_side: int, long_side: int) -> tuple[int, int]:
    """(height, width) of the image `resize` gives: halves round to even, as in cv2.resize; never below one pixel."""
    scale = resize_scale(height, width, short_side=short_side, long_side=long_side)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize(image: np.ndarray, *, short_side: int, long_side: int) -> tuple[np.ndarray, float]:
    """Bilinear, in uint8 (py-faster-rcnn resizes floats).

    Args:
        image: u8[H,W,3].

    Returns:
        The image u8[H',W',3] and its scale; boxes in the resized image are the original boxes times the scale.
    """
    height, width = image.shape[:2]
    size = resized_size(height, width, short_side=short_side, long_side=long_side)
    scale = resize_scale(height, width, short_side=short_side, long_side=long_side)
    if min(height, width) * scale < 1:  # fx, fy would ask cv2 for an empty image
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), scale
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), scale


def flip(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors image u8[H,W,3] and boxes f32[G,4] left to right; flipping twice is the identity."""
    width = np.float32(image.shape[1])
    x1, y1, x2, y2 = boxes.T
    return cv2.flip(image, 1), np.stack([width - x2, y1, width - x1, y2], axis=1)


def pad_ground_truth(
    boxes: np.ndarray, labels: np.ndarray, *, max_gt: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Puts the objects into `max_gt` slots; where there are more, the largest are kept, in their own order.

    Args:
        boxes: f32[G,4].
        labels: i32[G].

    Returns:
        boxes f32[max_gt,4], labels i32[max_gt], valid bool[max_gt]; 0, 0 and False in the empty slots.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = np.sort(np.argsort(-areas, kind="stable")[:max_gt])
    slots_boxes, slots_labels = np.zeros((max_gt, 4), np.float32), np.zeros(max_gt, np.int32)
    slots_boxes[: len(kept)], slots_labels[: len(kept)] = boxes[kept], labels[kept]
    return slots_boxes, slots_labels, np.arange(max_gt) < len(kept)
