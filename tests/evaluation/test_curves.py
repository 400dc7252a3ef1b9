"""Precision-recall curves against pycocotools and the best F1 against scikit-learn."""

import numpy as np
import pytest

from jaxdet.evaluation.curves import RECALLS, Ranking, best_f1, precision_curve, rank
from tests.evaluation.random_split import CLASSES, load_split, small_split


def test_curves_equal_pycocotools():
    *split, expected = load_split("apart")
    curves = [precision_curve(rank(*split, label=k)) for k in range(1, CLASSES + 1)]
    np.testing.assert_allclose(curves, expected["pycocotools"]["precision"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("label", [None, *range(1, CLASSES + 1)])
def test_the_best_f1_equals_scikit_learn(label):
    *split, expected = load_split("apart")
    results = expected["sklearn"]
    assert best_f1(rank(*split, label=label)) == pytest.approx(
        results["overall"] if label is None else results["classes"][label - 1], abs=1e-12
    )


def ranking(*rows, positives):
    scores, right = zip(*rows, strict=True) if rows else ((), ())
    return Ranking(np.array(scores), np.array(right, bool), positives)


def test_a_curve_has_the_best_precision_at_or_beyond_each_recall():
    curve = precision_curve(ranking((0.9, True), (0.8, False), (0.7, True), positives=3))
    np.testing.assert_allclose(curve[[0, 33, 34, 66, 67, 100]], [1, 1, 2 / 3, 2 / 3, 0, 0])
    assert len(curve) == len(RECALLS) == 101
    assert np.isnan(precision_curve(ranking((0.9, False), positives=0))).all()
    assert not precision_curve(ranking(positives=2)).any()


def test_equal_scores_are_above_the_threshold_together():
    best = best_f1(ranking((0.5, True), (0.5, False), (0.5, False), (0.2, False), positives=1))
    assert best == {"threshold": 0.5, "f1": pytest.approx(0.5), "precision": pytest.approx(1 / 3), "recall": 1.0}


def test_of_equal_f1_the_highest_threshold_is_chosen():
    assert best_f1(ranking((0.9, True), (0.5, False), (0.4, True), positives=5))["threshold"] == 0.4
    assert best_f1(ranking((0.9, True), (0.4, False), positives=1))["threshold"] == 0.9


def test_without_a_right_detection_there_is_no_best_threshold():
    for empty in (ranking(positives=1), ranking((0.9, False), positives=1), ranking(positives=0)):
        assert best_f1(empty) == {"threshold": None, "f1": None, "precision": None, "recall": None}


def test_matches_of_difficult_objects_are_not_ranked():
    ranked = rank(*small_split([(0, 10, 1, True), (20, 30, 1)], [(0, 10, 1, 0.9), (20, 30, 1, 0.8), (20, 30, 2, 0.7)]))
    assert (ranked.scores.tolist(), ranked.right.tolist(), ranked.positives) == ([0.8, 0.7], [True, False], 1)
