"""Scores of right and wrong detections, counted."""

import numpy as np

from jaxdet.evaluation.curves import Ranking
from jaxdet.evaluation.score_histogram import score_histogram


def histogram(scores, right):
    return score_histogram(Ranking(np.array(scores, np.float32), np.array(right, bool), 3))


def test_probabilities_are_counted_in_twentieths():
    counts = histogram([1.0, 0.96, 0.06, 0.051, 0.0], [True, False, False, True, False])
    np.testing.assert_allclose(counts["edges"], np.arange(21) / 20)
    assert (counts["right"][19], counts["right"][1], sum(counts["right"])) == (1, 1, 2)
    assert (counts["wrong"][19], counts["wrong"][1], counts["wrong"][0], sum(counts["wrong"])) == (1, 1, 1, 3)


def test_margins_of_svms_widen_the_range():
    counts = histogram([3.0, -1.0], [True, False])
    assert (counts["edges"][0], counts["edges"][-1], counts["right"][-1], counts["wrong"][0]) == (-1, 3, 1, 1)


def test_without_detections_all_counts_are_zero():
    assert sum(histogram([], [])["right"]) == 0
