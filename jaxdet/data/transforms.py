"""Resizing, flipping and padding of one record, from original pixels to a row of a batch."""

import cv2
import numpy as np


def resize_scale(height: int, width: int, *, short_side: int, long_side: int) -> float:
    """Return resized pixels per original pixel: the short side becomes `short_side`, the long one at most `long_side`.

    The rule of py-faster-rcnn's `prep_im_for_blob` (Fast R-CNN, 2.3.4: 600 and 1000).
    """
    shorter, longer = min(height, width), max(height, width)
    scale = short_side / shorter
    return long_side / longer if round(scale * longer) > long_side else scale


def resized_size(height: int, width: int, *, short_side: int, long_side: int) -> tuple[int, int]:
    """Return (height, width) of the result of `resize`: at least one pixel, halves rounded to even as in cv2.resize."""
    scale = resize_scale(height, width, short_side=short_side, long_side=long_side)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize(image: np.ndarray, *, short_side: int, long_side: int) -> tuple[np.ndarray, float]:
    """Resize bilinearly, in uint8 (py-faster-rcnn resizes floats).

    Args:
      image: u8[H,W,3].
      short_side, long_side: see resize_scale.

    Returns:
      The image u8[H',W',3] and its scale; boxes in the resized image are the original boxes times the scale.
    """
    height, width = image.shape[:2]
    size = resized_size(height, width, short_side=short_side, long_side=long_side)
    scale = resize_scale(height, width, short_side=short_side, long_side=long_side)
    if min(height, width) * scale < 1:  # with fx and fy cv2 would compute an empty image
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), scale
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), scale


def flip(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image u8[H,W,3] and its boxes f32[G,4] left to right; flipping twice is the identity."""
    return cv2.flip(image, 1), mirror(boxes, image.shape[1])


def mirror(boxes: np.ndarray, width: np.ndarray | int) -> np.ndarray:
    """Mirror boxes f32[G,4] left to right in images of this width, one for all or i32[G]."""
    x1, y1, x2, y2 = boxes.T
    width = np.asarray(width, np.float32)
    return np.stack([width - x2, y1, width - x1, y2], axis=1)


def pad_ground_truth(
    boxes: np.ndarray, labels: np.ndarray, *, max_gt: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pad the objects of an image to `max_gt` slots; of more objects the largest are used, in their original order.

    Args:
      boxes: f32[G,4].
      labels: i32[G].
      max_gt: number of slots.

    Returns:
      boxes f32[max_gt,4], labels i32[max_gt], valid bool[max_gt]; 0, 0 and False in the empty slots.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    largest = np.sort(np.argsort(-areas, kind="stable")[:max_gt])
    padded_boxes, padded_labels = np.zeros((max_gt, 4), np.float32), np.zeros(max_gt, np.int32)
    padded_boxes[: len(largest)], padded_labels[: len(largest)] = boxes[largest], labels[largest]
    return padded_boxes, padded_labels, np.arange(max_gt) < len(largest)
