"""Host IoU against the devkit's +1 rule."""

import numpy as np

from jaxdet.ops.boxes_np import box_iou


def test_equals_the_devkit_rule_on_inclusive_boxes():
    rng = np.random.default_rng(0)
    low = rng.integers(1, 30, (2, 50, 2))
    a, b = np.concatenate([low, low + rng.integers(0, 30, (2, 50, 2))], -1)  # 1-based, both ends included
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]) + 1, 0)
    inter = sides.prod(1)
    union = (a[:, 2:] - a[:, :2] + 1).prod(1) + (b[:, 2:] - b[:, :2] + 1).prod(1) - inter
    np.testing.assert_array_equal(box_iou(a - [1, 1, 0, 0], b - [1, 1, 0, 0]), inter / union)


def test_broadcasts_and_gives_zero_for_an_empty_union():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]], np.float32)
    iou = box_iou(boxes[:, None], boxes[None])
    np.testing.assert_allclose(iou, [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]])
    assert box_iou(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)
