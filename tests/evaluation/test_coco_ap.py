"""COCO's metrics against pycocotools, and its rules one by one."""

import pathlib

import numpy as np
import pytest

from jaxdet.evaluation.coco_ap import NAMES, coco_statistics
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "ap.npz"  # py-faster-rcnn's voc_eval, pycocotools


def score(boxes, scores, truth, *, labels=None, truth_labels=None, num_classes=1):
    n, m = len(boxes), len(truth)
    labels = np.ones(n, int) if labels is None else np.array(labels)
    truth_labels = np.ones(m, int) if truth_labels is None else np.array(truth_labels)
    detections = DetectionTable(np.zeros(n, int), np.reshape(boxes, (n, 4)), labels, np.array(scores, float))
    objects = GroundTruthTable(np.zeros(m, int), np.reshape(truth, (m, 4)), truth_labels, np.zeros(m, bool))
    return coco_statistics(detections, objects, num_classes=num_classes)[0]


def test_equals_pycocotools():
    g = np.load(GOLDEN)
    detections = DetectionTable(g["det/image"], g["det/boxes"], g["det/labels"] + 1, g["det/scores"])
    truth = GroundTruthTable(g["gt/image"], g["gt/boxes"], g["gt/labels"] + 1, g["gt/difficult"])
    stats, per_class = coco_statistics(detections, truth, num_classes=20)
    assert tuple(stats) == NAMES
    assert stats["AP"] == pytest.approx(np.nanmean(per_class), abs=1e-12)
    np.testing.assert_allclose(list(stats.values()), g["coco/stats_all_objects"], rtol=0, atol=1e-6)


def test_perfect_detections_score_one_and_absent_sizes_are_nan():
    stats = score([[0, 0, 50, 50], [100, 0, 150, 50]], [0.9, 0.8], [[0, 0, 50, 50], [100, 0, 150, 50]])
    assert {stats[name] for name in ("AP", "AP50", "AP75", "APm", "AR10", "AR100", "ARm")} == {1.0}
    assert stats["AR1"] == 0.5  # one detection per image cannot find two objects
    assert all(np.isnan(stats[name]) for name in ("APs", "APl", "ARs", "ARl"))


def test_a_detection_may_match_its_second_best_object():
    # Both detections overlap the first object most; VOC would count the second a false positive, COCO does not at 0.5.
    truth = [[0, 0, 100, 100], [20, 0, 120, 100]]
    stats = score([[0, 0, 100, 100], [4, 0, 104, 100]], [0.9, 0.8], truth)
    assert stats["AP50"] == 1.0
    assert stats["AP75"] == pytest.approx(51 / 101)  # recall 1/2 at precision 1: 51 of the 101 recalls


def test_an_unmatched_detection_of_another_size_is_not_counted():
    small, large = [0, 0, 10, 10], [0, 0, 200, 200]
    stats = score([large, small], [0.9, 0.8], [small])
    assert stats["AP50"] == 0.5 and stats["APs"] == 1.0


def test_a_match_at_exactly_the_threshold_counts():
    stats = score([[0, 0, 10, 5]], [0.9], [[0, 0, 10, 10]])
    assert stats["AP50"] == 1.0 and stats["AP75"] == 0.0


def test_only_100_detections_per_image_and_class_count():
    misses = [[500, 500, 510, 510]] * 100
    scores = np.linspace(0.9, 0.5, 100).tolist()
    assert score([*misses, [0, 0, 50, 50]], [*scores, 0.1], [[0, 0, 50, 50]])["AR100"] == 0.0
    assert score([*misses[1:], [0, 0, 50, 50]], [*scores[1:], 0.1], [[0, 0, 50, 50]])["AR100"] == 1.0


def test_a_class_without_objects_is_ignored():
    box = [0, 0, 50, 50]
    stats = score([box, box], [0.9, 0.8], [box], labels=[1, 2], num_classes=2)
    assert stats["AP"] == 1.0


def test_ap_is_0_without_detections_and_nan_without_objects():
    box = [0, 0, 50, 50]
    assert score([], [], [box])["AP"] == 0.0
    assert all(np.isnan(value) for value in score([box], [0.9], []).values())
    assert all(np.isnan(value) for value in score([], [], []).values())


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"labels must lie in 1\.\.1, got \[2\]"):
        score([[0, 0, 5, 5]], [0.9], [[0, 0, 5, 5]], labels=[2])
