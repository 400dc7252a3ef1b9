"""Tables of detections and ground truth: refused columns, and selection of the best rows of each class."""

import numpy as np
import pytest

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable, best_of_each_class, clip_to_images, only_named


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"DetectionTable: columns must have shapes .* one row per object"):
        DetectionTable(np.zeros(2, int), np.zeros((2, 4)), np.ones(2, int), np.zeros(3))
    with pytest.raises(ValueError, match="GroundTruthTable"):
        GroundTruthTable(np.zeros(2, int), np.zeros((2, 5)), np.ones(2, int), np.zeros(2, bool))


def test_a_table_without_rows_is_valid():
    assert len(DetectionTable(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)).image) == 0


def table(labels, scores):
    n = len(labels)
    boxes = np.arange(4.0 * n).reshape(n, 4)  # each row has its own box
    return DetectionTable(np.arange(n) % 3, boxes, np.array(labels, np.int32), np.array(scores, np.float32))


def test_best_of_each_class_selects_over_the_whole_split():
    rng = np.random.default_rng(0)
    labels = rng.choice([1, 2, 3], 200, p=[0.8, 0.17, 0.03])
    detections = table(labels, rng.permutation(200))
    got = best_of_each_class(detections, images=3, mean=5)
    expected = []
    for label in (1, 2, 3):
        best = sorted((row for row in range(200) if labels[row] == label), key=lambda row: -detections.scores[row])
        expected += best[:15]  # 5 x 3, however they are spread over the images
    for name in ("image", "boxes", "labels", "scores"):  # in the order they had
        np.testing.assert_array_equal(getattr(got, name), getattr(detections, name)[sorted(expected)])
    assert [(got.labels == label).sum() for label in (1, 2, 3)] == [15, 15, (labels == 3).sum()]


def test_detections_that_tie_with_the_last_one_are_selected():
    got = best_of_each_class(table([1, 1, 1, 1, 2], [0.9, 0.5, 0.5, 0.1, 0.0]), images=2, mean=1)
    np.testing.assert_array_equal(got.scores, np.float32([0.9, 0.5, 0.5, 0.0]))


def test_mean_0_selects_all_and_an_empty_table_stays_empty():
    detections = table([1, 1, 2], [0.3, 0.2, 0.1])
    assert best_of_each_class(detections, images=1, mean=0) is detections
    empty = best_of_each_class(table([], []), images=1, mean=1)
    assert empty.boxes.shape == (0, 4)


def test_boxes_are_clipped_to_their_own_images():
    boxes = np.float32([[-3, 1, 40, 9], [0, 0, 40, 9], [5, 5, 40, 90]])
    detections = DetectionTable(np.array([1, 0, 1]), boxes, np.ones(3, np.int32), np.ones(3, np.float32))
    clipped = clip_to_images(detections, np.array([[5, 100], [20, 30]], np.int32))
    np.testing.assert_array_equal(clipped.boxes, [[0, 1, 30, 9], [0, 0, 40, 5], [5, 5, 30, 20]])
    assert clipped.boxes.dtype == np.float32


def test_classes_without_a_name_are_dropped_and_the_others_numbered_without_gaps():
    labels = np.int32([1, 2, 3, 4, 4])
    table = DetectionTable(np.arange(5), np.arange(20.0).reshape(5, 4), labels, np.arange(5) / 10)
    named = only_named(table, ("cat", "N/A", "dog", "cow"), "N/A")
    np.testing.assert_array_equal(named.labels, [1, 2, 3, 3])
    np.testing.assert_array_equal(named.image, [0, 2, 3, 4])
    np.testing.assert_array_equal(named.boxes, table.boxes[[0, 2, 3, 4]])
    same = only_named(table, ("a", "b", "c", "d"), "N/A")
    np.testing.assert_array_equal(same.labels, labels)
    empty = DetectionTable(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, np.int32), np.zeros(0))
    assert len(only_named(empty, ("a", "N/A"), "N/A").labels) == 0
