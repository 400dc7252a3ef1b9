import math

import numpy as np
import pytest

from jaxdet.evaluation.recall import proposal_recall
from jaxdet.types import Annotation

EMPTY = np.zeros((0, 4), np.float32)


def record(*boxes, difficult=()):
    hard = np.isin(np.arange(len(boxes)), difficult)
    boxes = np.float32(boxes).reshape(-1, 4)
    return Annotation("a", boxes, np.ones(len(boxes), np.int32), hard)


def test_recall_equals_a_computation_by_hand():
    # Objects of 10 x 10. Image 0: IoU 1, 0.75 and a miss; image 1: 0.5 exactly, and a difficult miss; image 2 has an
    # object and no proposal; image 3 a proposal and no object. At 0.5: 3 of 5, at 0.7: 2 of 5.
    proposals = [
        np.float32([[0, 0, 10, 10], [50, 0, 57.5, 10], [200, 200, 300, 300]]),
        np.float32([[0, 0, 10, 5]]),
        EMPTY,
        np.float32([[1, 1, 5, 5]]),
    ]
    annotations = [
        record([0, 0, 10, 10], [50, 0, 60, 10], [90, 90, 100, 100]),
        record([0, 0, 10, 10], [40, 40, 50, 50], difficult=[1]),
        record([0, 0, 10, 10]),
        record(),
    ]
    assert proposal_recall(proposals, annotations) == {"recall_0.5": 0.6, "recall_0.7": 0.4, "mean_proposals": 1.25}

    # The second object's proposal at IoU 0.69 is too small for 0.7.
    proposals[0][1, 2] = 56.9
    assert proposal_recall(proposals, annotations)["recall_0.7"] == 0.2


def test_recall_without_objects_is_nan():
    got = proposal_recall([EMPTY], [record()])
    assert math.isnan(got["recall_0.5"])
    assert math.isnan(got["recall_0.7"])
    assert got["mean_proposals"] == 0


def test_proposals_of_other_images_are_refused():
    with pytest.raises(ValueError, match="longer"):
        proposal_recall([EMPTY], [record(), record()])
