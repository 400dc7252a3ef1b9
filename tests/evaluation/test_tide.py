"""Kinds of errors and what they cost, against tidecv and by hand."""

import numpy as np
import pytest

from jaxdet.evaluation import coco_ap
from jaxdet.evaluation.tide import KINDS, average_precision_gains, classify_errors
from tests.evaluation.random_split import CLASSES, load_split, small_split


def named(errors):
    return [KINDS[kind] if kind >= 0 else "" for kind in errors.kind]


def kinds(objects, detections):
    split = small_split(objects, detections)
    errors = classify_errors(*split, at_threshold=False)
    return named(errors), np.flatnonzero(errors.missed).tolist()


def gains(objects, detections, classes=1):
    split = small_split(objects, detections)
    errors = classify_errors(*split, at_threshold=False)
    return average_precision_gains(*split, errors, num_classes=classes)


def test_equals_tidecv(monkeypatch):
    monkeypatch.setattr(coco_ap, "RECALL_THRESHOLDS", np.arange(101) / 100)  # pycocotools' round otherwise
    detections, truth, matching, expected = load_split("apart")
    errors = classify_errors(detections, truth, matching, at_threshold=False)
    gains = average_precision_gains(detections, truth, matching, errors, num_classes=CLASSES)
    assert gains["AP"] == pytest.approx(expected["tidecv"]["AP"], abs=1e-12)
    for kind, name in enumerate(KINDS):
        count = errors.missed.sum() if name == "missed" else (errors.kind == kind).sum()
        assert count == expected["tidecv"]["kinds"][name]["count"], name
        assert gains[name] == pytest.approx(expected["tidecv"]["kinds"][name]["dAP"], abs=1e-12), name


@pytest.mark.parametrize(
    ("detection", "kind", "missed"),
    [
        ((0, 100, 1, 0.5), "", []),
        ((0, 100, 2, 0.5), "classification", []),
        ((0, 40, 1, 0.5), "localisation", []),
        ((0, 40, 2, 0.5), "both", [0]),
        ((0, 9, 1, 0.5), "background", [0]),
        ((500, 600, 2, 0.5), "background", [0]),
        ((0, 50, 1, 0.5), "localisation", []),  # t_f itself
        ((0, 10, 1, 0.5), "localisation", []),  # t_b itself
        ((0, 10, 2, 0.5), "background", [0]),
    ],
)
def test_one_detection_of_one_object(detection, kind, missed):
    assert kinds([(0, 100, 1)], [detection]) == ([kind], missed)


def test_a_second_detection_of_an_object_is_a_duplicate_whichever_row_it_has():
    assert kinds([(0, 100, 1)], [(0, 90, 1, 0.5), (0, 100, 1, 0.9)]) == (["duplicate", ""], [])


def test_a_poor_box_of_the_right_class_is_an_error_of_the_box_beside_an_object_of_another_class():
    assert kinds([(0, 100, 1), (60, 160, 2)], [(0, 100, 1, 0.9), (60, 160, 1, 0.8)])[0] == ["", "localisation"]


def test_difficult_objects_are_neither_missed_nor_confused():
    assert kinds([(0, 100, 1, True)], [(0, 100, 1, 0.9), (0, 100, 2, 0.8)]) == (["", "background"], [])


def test_a_corrected_class_finds_its_object():
    values = gains([(0, 10, 1), (50, 60, 2)], [(0, 10, 2, 0.9), (50, 60, 2, 0.8)], classes=2)
    assert values["AP"] == pytest.approx(0.25)  # 0 and, below one wrong detection, 1/2
    assert values["classification"] == pytest.approx(0.75)
    assert sum(values[kind] for kind in KINDS) == values["classification"]


def test_of_two_poor_boxes_the_higher_score_is_corrected_and_the_other_removed():
    values = gains([(0, 10, 1)], [(0, 4, 1, 0.9), (0, 3, 1, 0.8)])
    assert (values["AP"], values["localisation"]) == (0, 1)


def test_a_poor_box_of_an_object_that_is_found_is_removed():
    values = gains([(0, 10, 1)], [(0, 4, 1, 0.9), (0, 10, 1, 0.8)])
    assert (values["AP"], values["localisation"]) == (pytest.approx(0.5), pytest.approx(0.5))


def test_missed_objects_are_not_counted():
    values = gains([(0, 10, 1), (50, 60, 1)], [(0, 10, 1, 0.9)])
    assert values["AP"] == pytest.approx(51 / 101)  # recalls 0 to 0.5
    assert values["missed"] == pytest.approx(50 / 101)


def test_a_class_of_missed_objects_only_leaves_the_mean():
    values = gains([(0, 10, 1), (50, 60, 2)], [(0, 10, 1, 0.9), (90, 99, 2, 0.8)], classes=3)
    assert values["AP"] == pytest.approx(0.5)
    assert values["missed"] == pytest.approx(0.5)


def test_without_detections_all_objects_are_missed():
    assert kinds([(0, 10, 1), (20, 30, 2)], []) == ([], [0, 1])
    assert gains([(0, 10, 1)], [])["AP"] == 0
    assert np.isnan(gains([], [(0, 10, 1, 0.5)])["AP"])
