"""Anchors, their targets, and proposals (Faster R-CNN, 3.1, 3.3)."""

import numpy as np

from tests.oracle.boxes import decode_and_clip, encode, greedy_nms, overlaps

STRIDE = 16


def anchors_of(rows, columns, scales):
    """Return boxes [rows * columns * 3 * scales, 4] by row, column, ratio, scale; sides are rounded at scale 1."""
    anchors = []
    for row in range(rows):
        for column in range(columns):
            x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
            for ratio in (0.5, 1.0, 2.0):
                width = np.round(np.sqrt(STRIDE * STRIDE / ratio))
                height = np.round(width * ratio)
                for scale in scales:
                    half_w, half_h = width * scale / 2, height * scale / 2
                    anchors.append([x - half_w, y - half_h, x + half_w, y + half_h])
    return np.array(anchors)


def anchor_targets(anchors, image_size, gt_boxes):
    """Return labels [N] (1, 0, or -1 for neither) and deltas [N,4] (0 unless positive), before any sampling."""
    height, width = image_size
    label = np.full(len(anchors), -1)
    deltas = np.zeros((len(anchors), 4))
    inside = np.array([a[0] >= 0 and a[1] >= 0 and a[2] <= width and a[3] <= height for a in anchors])
    if len(gt_boxes) == 0:
        label[inside] = 0
        return label, deltas
    iou = np.stack([np.where(inside, overlaps(gt, anchors), 0.0) for gt in gt_boxes], axis=1)
    label[inside & (iou.max(axis=1) < 0.3)] = 0
    for column in iou.T:  # all best anchors of each ground truth, unless none touches it
        if column.max() > 0:
            label[column == column.max()] = 1
    label[iou.max(axis=1) >= 0.7] = 1
    for i in np.flatnonzero(label == 1):
        deltas[i] = encode(gt_boxes[iou[i].argmax()], anchors[i])
    return label, deltas


def proposals(logits, deltas, anchors, image_size, *, min_size, pre_nms_top_n, post_nms_top_n, nms_iou):
    """Return boxes [P,4] by descending objectness: decode, clip, drop small ones, sort, suppress."""
    boxes = np.array([decode_and_clip(d, a, image_size) for d, a in zip(deltas, anchors, strict=True)])
    large = (boxes[:, 2] - boxes[:, 0] >= min_size) & (boxes[:, 3] - boxes[:, 1] >= min_size)
    boxes, score = boxes[large], (logits[:, 1] - logits[:, 0])[large]
    boxes = boxes[np.argsort(-score, kind="stable")[:pre_nms_top_n]]
    return boxes[greedy_nms(boxes, nms_iou)[:post_nms_top_n]]
