"""Boxes in float64, x2 and y2 one larger than in py-faster-rcnn's inclusive pixels: overlap, deltas, suppression."""

import numpy as np


def overlaps(box, boxes):
    """Return the IoU of one box [4] with each of boxes [N,4]."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    shared = np.where((width > 0) & (height > 0), width * height, 0.0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=shared > 0)


def encode(box, anchor):
    """Return (dx, dy, dw, dh) from an anchor to a box (Faster R-CNN, eq. 2)."""
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    return np.array(
        [
            ((box[0] + box[2]) / 2 - (anchor[0] + anchor[2]) / 2) / width,
            ((box[1] + box[3]) / 2 - (anchor[1] + anchor[3]) / 2) / height,
            np.log((box[2] - box[0]) / width),
            np.log((box[3] - box[1]) / height),
        ]
    )


def decode_and_clip(delta, anchor, image_size):
    """Return the box with these deltas from the anchor, clipped to the image (height, width)."""
    anchor_width, anchor_height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = (anchor[0] + anchor[2]) / 2 + delta[0] * anchor_width
    y = (anchor[1] + anchor[3]) / 2 + delta[1] * anchor_height
    width, height = anchor_width * np.exp(delta[2]), anchor_height * np.exp(delta[3])
    corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return np.clip(corners, 0, [image_size[1], image_size[0]] * 2)


def greedy_nms(boxes, threshold):
    """Return the indices of the boxes, sorted by descending score, that no better selected box overlaps by more."""
    selected = []
    dropped = np.zeros(len(boxes), bool)
    for i in range(len(boxes)):
        if not dropped[i]:
            selected.append(i)
            dropped |= overlaps(boxes[i], boxes) > threshold
    return selected
