"""Assignment of detections to objects; whole average precisions are in test_voc_ap.py."""

import numpy as np

from jaxdet.evaluation.matching import best_pairs, pairs_of_equal_keys
from tests.evaluation.random_split import match, small_split


def test_the_first_match_is_right_a_second_is_wrong_and_a_match_of_a_difficult_object_is_neither():
    detections, truth, matching = small_split(
        objects=[(0, 10, 1), (50, 60, 1, True), (90, 100, 2)],
        detections=[(0, 9, 1, 0.5), (0, 10, 1, 0.9), (50, 60, 1, 0.8), (90, 100, 1, 0.7), (90, 100, 2, 0.6)],
    )
    np.testing.assert_array_equal(matching.right, [False, True, False, False, True])
    np.testing.assert_array_equal(matching.ignored, [False, False, True, False, False])
    np.testing.assert_array_equal(matching.wrong, [True, False, False, True, False])
    np.testing.assert_array_equal(matching.truth[[0, 1, 2, 4]], [0, 0, 1, 2])
    np.testing.assert_allclose(matching.iou, [0.9, 1, 1, 0, 1])


def test_of_equal_scores_the_first_row_is_right():
    _, _, matching = small_split(objects=[(0, 10, 1)], detections=[(0, 9, 1, 0.5), (0, 10, 1, 0.5)])
    np.testing.assert_array_equal(matching.right, [True, False])


def test_half_an_object_is_a_match_on_request():
    detections, truth, matching = small_split(objects=[(0, 10, 1)], detections=[(0, 5, 1, 0.5)])
    assert not matching.right[0]
    assert match(detections, truth, at_threshold=True).right[0]


def test_tables_without_rows_match_nothing():
    for objects, detections in (([], []), ([(0, 10, 1)], []), ([], [(0, 10, 1, 0.5)])):
        _, _, matching = small_split(objects, detections)
        assert not matching.right.any() and len(matching.right) == len(detections)


def test_pairs_are_all_rows_of_equal_keys():
    rows, truth_rows = pairs_of_equal_keys(np.array([7, 3, 7, 5]), np.array([3, 7, 9, 7]))
    assert sorted(zip(rows.tolist(), truth_rows.tolist(), strict=True)) == [(0, 1), (0, 3), (1, 0), (2, 1), (2, 3)]


def test_of_equal_overlaps_the_first_object_is_best():
    iou, truth = best_pairs(np.array([2, 2, 0]), np.array([5, 4, 1]), np.array([0.5, 0.5, 0.2]), count=3)
    np.testing.assert_array_equal(iou, [0.2, 0, 0.5])
    np.testing.assert_array_equal(truth, [1, 0, 4])
