"""The images with most errors of a kind."""

import dataclasses

import numpy as np

from jaxdet.evaluation.tide import KINDS, classify_errors
from jaxdet.evaluation.worst_images import worst_images
from tests.evaluation.random_split import match, small_split


def worst(images, truth_images, objects, detections, kind, most=10):
    detections, truth, _ = small_split(objects, detections)
    detections = dataclasses.replace(detections, image=np.array(images))
    truth = dataclasses.replace(truth, image=np.array(truth_images, int))
    errors = classify_errors(detections, truth, match(detections, truth), at_threshold=False)
    return worst_images(detections, truth, errors, kind=KINDS.index(kind), most=most)


def test_more_errors_come_first_then_higher_scores():
    rows = [(0, 10, 1, score) for score in (0.9, 0.3, 0.3, 0.95)]
    assert worst([4, 7, 7, 2], [], [], rows, "background") == [7, 2, 4]
    assert worst([4, 7, 7, 2], [], [], rows, "background", most=2) == [7, 2]
    assert worst([4, 7, 7, 2], [], [], rows, "duplicate") == []


def test_more_missed_objects_come_first_then_larger_ones():
    objects = [(0, 10, 1), (0, 20, 1), (0, 5, 1), (50, 55, 1), (0, 99, 1, True)]
    assert worst([], [0, 1, 2, 2, 3], objects, [], "missed") == [2, 1, 0]
