"""The confusion matrix against supervision and by hand."""

import numpy as np
import pytest

from jaxdet.evaluation.confusion import confusion_matrix
from tests.evaluation.random_split import CLASSES, SCORE_THRESHOLD, load_split, small_split


@pytest.mark.parametrize("name", ["apart", "overlapping"])
def test_equals_supervision(name):
    *split, expected = load_split(name)
    matrix = confusion_matrix(*split, num_classes=CLASSES, score_threshold=SCORE_THRESHOLD)
    np.testing.assert_array_equal(matrix, expected["supervision"])


def counts(objects, detections, threshold=0.5):
    return confusion_matrix(*small_split(objects, detections), num_classes=2, score_threshold=threshold).tolist()


def test_rows_are_true_classes_and_background_is_last():
    objects = [(0, 10, 1), (20, 30, 1), (40, 50, 2)]
    detections = [(0, 10, 1, 0.9), (20, 30, 2, 0.8), (60, 70, 2, 0.7), (40, 50, 2, 0.4)]
    assert counts(objects, detections) == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert counts(objects, detections, 0.4) == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]  # the threshold itself


def test_the_right_class_comes_before_the_better_box():
    assert counts([(0, 10, 1)], [(0, 10, 2, 0.9), (0, 8, 1, 0.6)]) == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_difficult_objects_and_their_detections_are_left_out():
    assert counts([(0, 10, 1, True)], [(0, 10, 1, 0.9)]) == [[0, 0, 0]] * 3


def test_each_object_and_detection_counts_once():
    *split, _ = load_split("overlapping")
    matrix = confusion_matrix(*split, num_classes=CLASSES, score_threshold=0.0)
    np.testing.assert_array_equal(matrix[:-1].sum(1), np.bincount(split[1].labels)[1:])
    np.testing.assert_array_equal(matrix[:, :-1].sum(0), np.bincount(split[0].labels)[1:])
