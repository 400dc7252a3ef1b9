"""Boxes on the host against the VOC devkit's +1 rule and against their twins on the device."""

import numpy as np

from jaxdet.ops.boxes import clip, encode, pairwise_iou
from jaxdet.ops.boxes_np import box_area, box_clip, box_deltas, box_iou


def test_iou_equals_the_devkit_rule_on_inclusive_boxes():
    rng = np.random.default_rng(0)
    low = rng.integers(1, 30, (2, 50, 2))
    a, b = np.concatenate([low, low + rng.integers(0, 30, (2, 50, 2))], -1)  # 1-based, both ends included
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]) + 1, 0)
    inter = sides.prod(1)
    union = (a[:, 2:] - a[:, :2] + 1).prod(1) + (b[:, 2:] - b[:, :2] + 1).prod(1) - inter
    np.testing.assert_array_equal(box_iou(a - [1, 1, 0, 0], b - [1, 1, 0, 0]), inter / union)


def test_iou_broadcasts_and_is_zero_for_an_empty_union():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]], np.float32)
    iou = box_iou(boxes[:, None], boxes[None])
    np.testing.assert_allclose(iou, [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]])
    assert box_iou(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)


def test_host_and_device_compute_the_same():
    rng = np.random.default_rng(1)
    corner = rng.uniform(-20, 200, (2, 60, 2))
    boxes, others = np.concatenate([corner, corner + rng.uniform(1, 150, (2, 60, 2))], axis=-1).astype(np.float32)
    others[:5] = [0, 0, 0, 0]  # empty, as invalid slots are
    iou = box_iou(boxes[:, None], others[None])
    assert (iou > 0).mean() > 0.1
    np.testing.assert_allclose(pairwise_iou(boxes, others), iou, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encode(others[5:], boxes[5:]), box_deltas(boxes[5:], others[5:]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.diag(pairwise_iou(boxes, boxes)) * box_area(boxes), box_area(boxes), rtol=1e-5)


def test_clip_equals_the_device():
    boxes = np.random.default_rng(0).uniform(-50, 150, (40, 4)).astype(np.float32)
    np.testing.assert_array_equal(box_clip(boxes, np.array([60, 90])), clip(boxes, np.float32([60, 90])))
