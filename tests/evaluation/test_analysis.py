"""The numbers of report.json, together."""

import json

import numpy as np
import pytest

from jaxdet.evaluation.analysis import analyse
from jaxdet.evaluation.strict_json import strict_json
from jaxdet.evaluation.tide import KINDS
from tests.evaluation.random_split import load_split, small_split

NAMES = ("cat", "dog", "cow")


def analysed(detections, truth, names=NAMES):
    return analyse(detections, truth, names, default_threshold=0.5, match_at_threshold=False)


def test_the_keys_are_those_documented():
    detections, truth, _, expected = load_split("apart")
    analysis = analysed(detections, truth)
    numbers = json.loads(strict_json(analysis.numbers))
    assert set(numbers) == {
        *("score_threshold", "best_f1", "tide", "confusion", "recall_by_size", "scores", "precision_at_recall"),
    }
    assert tuple(numbers["tide"]["kinds"]) == KINDS
    assert numbers["confusion"]["classes"] == [*NAMES, "background"]
    assert tuple(numbers["best_f1"]["classes"]) == tuple(numbers["precision_at_recall"]) == NAMES
    assert numbers["score_threshold"] == pytest.approx(expected["sklearn"]["overall"]["threshold"], abs=1e-12)


def test_what_is_shown_has_the_threshold_of_the_best_f1():
    detections, truth, _, _ = load_split("apart")
    analysis = analysed(detections, truth)
    threshold, kinds = analysis.numbers["score_threshold"], analysis.numbers["tide"]["kinds"]
    assert analysis.detections.scores.min() == threshold
    assert len(analysis.detections.image) == (detections.scores >= threshold).sum() == len(analysis.matching.right)
    assert kinds["duplicate"]["count_at_threshold"] == (analysis.errors.kind == KINDS.index("duplicate")).sum()
    assert kinds["missed"]["count_at_threshold"] == analysis.errors.missed.sum() >= kinds["missed"]["count"]
    best = analysis.numbers["best_f1"]["all"]
    assert analysis.matching.right.mean() == pytest.approx(best["precision"], abs=1e-12)


@pytest.mark.parametrize("detections", [[], [(20, 30, 1, 0.9), (50, 60, 2, 0.2)]])
def test_without_a_right_detection_the_default_threshold_is_used(detections):
    detections, truth, _ = small_split([(0, 10, 1)], detections)
    analysis = analysed(detections, truth)
    assert analysis.numbers["score_threshold"] == 0.5
    assert analysis.numbers["best_f1"]["all"]["f1"] is None
    assert np.sum(analysis.numbers["confusion"]["matrix"]) == 1 + len(analysis.detections.image)
