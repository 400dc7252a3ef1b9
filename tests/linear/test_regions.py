"""Regions and box examples by hand, and against ops encode."""

import numpy as np

from jaxdet.linear.regions import Regions, box_examples, regions_of
from jaxdet.ops.boxes import encode
from jaxdet.types import Annotation

NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


def record(boxes, labels, difficult=None):
    difficult = np.zeros(len(labels), bool) if difficult is None else np.array(difficult)
    return Annotation("a", np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int32), difficult)


def test_ground_truth_comes_first_and_overlaps_are_per_class():
    truth = record([[0, 0, 10, 10], [0, 0, 10, 20], [40, 40, 50, 50]], [2, 2, 1], [False, True, False])
    regions = regions_of(truth, np.float32([[0, 0, 10, 5], [80, 80, 90, 90]]), num_classes=3)
    np.testing.assert_array_equal(regions.labels, [2, 2, 1, 0, 0])
    assert regions.boxes.shape == (5, 4) and regions.boxes.dtype == np.float32
    expected = [[0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0.5, 0], [0, 0, 0]]
    np.testing.assert_allclose(regions.overlaps, expected)


def test_an_image_without_objects_or_proposals():
    regions = regions_of(record([], []), np.float32([[0, 0, 5, 5]]), num_classes=2)
    np.testing.assert_array_equal(regions.overlaps, [[0, 0]])
    assert [len(x) for x in box_examples(regions)] == [0, 0, 0]
    nothing = regions_of(record([], []), np.zeros((0, 4), np.float32), num_classes=2)
    assert nothing.overlaps.shape == (0, 2) and [len(x) for x in box_examples(nothing)] == [0, 0, 0]


def test_box_examples_have_the_class_and_deltas_of_their_best_object():
    boxes = [[0, 0, 10, 10], [2, 0, 14, 10], [0, 0, 10, 6], [0, 0, 10, 6.1], [3, 1, 13, 10], [60, 60, 70, 70]]
    regions = Regions(np.float32(boxes), np.int32([2, 1, 0, 0, 0, 0]), np.zeros((6, 2), np.float32))
    rows, labels, deltas = box_examples(regions)
    np.testing.assert_array_equal(rows, [0, 1, 3, 4])  # an IoU of 0.61 is enough, 0.6 is not
    np.testing.assert_array_equal(labels, [2, 1, 2, 1])
    expected = encode(regions.boxes[[0, 1, 0, 1]], regions.boxes[rows])
    np.testing.assert_allclose(deltas, expected, atol=1e-6)
