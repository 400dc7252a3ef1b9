"""RoI targets and RoI max pooling with its gradient (Fast R-CNN, 2.1, 2.3; the bins are Caffe's)."""

import math

import numpy as np

from tests.oracle.boxes import encode, overlaps

STD = np.array([0.1, 0.1, 0.2, 0.2])
BINS = 7
STRIDE = 16


def roi_targets(proposals, gt_boxes, gt_labels):
    """Return RoIs [P+G,4] (ground truth last), classes [P+G] and normalised deltas [P+G,4], before any sampling."""
    rois = np.concatenate([proposals, gt_boxes])
    label = np.zeros(len(rois), int)
    deltas = np.zeros((len(rois), 4))
    for i, roi in enumerate(rois):
        iou = overlaps(roi, gt_boxes)
        if len(gt_boxes) and iou.max() >= 0.5:
            label[i] = gt_labels[iou.argmax()]
            deltas[i] = encode(gt_boxes[iou.argmax()], roi) / STD
    return rois, label, deltas


def _cell(coordinate):
    return math.floor(coordinate / STRIDE + 0.5)  # C's round of numbers >= 0: half away from zero


def _bins(first, last, size, bins):
    """Yield the (start, end) cells, cut to the map, of each bin of a side from cell first to cell last."""
    length = max(last - first + 1, 1)
    for i in range(bins):
        start, end = first + i * length // bins, first + -(-(i + 1) * length // bins)
        yield min(max(start, 0), size), min(max(end, 0), size)


def roi_max_pool(features, rois, bins=BINS):
    """Return pooled features [R,bins,bins,C] and the place of each maximum, i[R,bins,bins,C,2], -1 for an empty bin."""
    height, width, channels = features.shape
    pooled = np.zeros((len(rois), bins, bins, channels))
    place = np.full((*pooled.shape, 2), -1)
    for r, (x1, y1, x2, y2) in enumerate(rois):
        for i, (top, bottom) in enumerate(_bins(_cell(y1), _cell(y2), height, bins)):
            for j, (left, right) in enumerate(_bins(_cell(x1), _cell(x2), width, bins)):
                if top < bottom and left < right:
                    window = features[top:bottom, left:right].reshape(-1, channels)
                    pooled[r, i, j] = window.max(axis=0)
                    row, column = np.divmod(window.argmax(axis=0), right - left)
                    place[r, i, j] = np.stack([top + row, left + column], axis=-1)
    return pooled, place


def roi_max_pool_backward(shape, place, gradient):
    """Return the gradient of the features [h,w,C]: each bin's goes to its maximum."""
    features = np.zeros(shape)
    filled = np.nonzero(place[..., 0] >= 0)  # (RoI, bin row, bin column, channel) of the bins that are not empty
    np.add.at(features, (place[filled][:, 0], place[filled][:, 1], filled[3]), gradient[filled])
    return features
