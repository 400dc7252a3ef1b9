"""Delta statistics against numbers worked out by hand and against the targets that training makes."""

import numpy as np
import pytest

from jaxdet.ops.boxes import encode
from jaxdet.proposals.delta_statistics import delta_statistics
from jaxdet.types import Annotation

EMPTY = np.zeros((0, 0, 3), np.uint8)
OPTIONS = {"num_classes": 3, "positive_iou": 0.5, "mirrored": False, "use_difficult": False}


def record(boxes, labels, difficult=None):
    difficult = np.zeros(len(labels), bool) if difficult is None else np.array(difficult)
    return Annotation("a", np.float32(boxes).reshape(-1, 4), np.int32(labels), difficult)


def test_statistics_equal_those_of_the_encoded_deltas():
    rng = np.random.default_rng(0)
    objects, labels = np.float32([[10, 10, 60, 50], [100, 20, 150, 90]]), [1, 2]
    near = np.concatenate([objects[i] + rng.uniform(-6, 6, (30, 4)) for i in (0, 1)]).astype(np.float32)
    far = np.float32([[200, 200, 210, 210]])
    mean, std = delta_statistics([(record(objects, labels), np.concatenate([near, far]))], **OPTIONS)
    for i, label in enumerate(labels):
        deltas = np.asarray(
            encode(objects[i][None].repeat(31, 0), np.concatenate([near[30 * i : 30 * i + 30], objects[i : i + 1]]))
        )
        np.testing.assert_allclose(mean[label], deltas.mean(0), atol=1e-5)
        np.testing.assert_allclose(std[label], deltas.std(0), rtol=1e-3)
    for unseen in (0, 3):
        assert mean[unseen].tolist() == [0, 0, 0, 0]
        assert std[unseen].tolist() == [1, 1, 1, 1]


def test_mirrored_equals_statistics_over_mirrored_images_too():
    boxes, proposals = [[10, 10, 60, 50]], np.float32([[14, 12, 66, 50], [12, 8, 58, 46]])
    flipped = [[40, 10, 90, 50]], np.float32([[34, 12, 86, 50], [42, 8, 88, 46]])  # in an image 100 wide
    both = [(record(boxes, [1]), proposals), (record(flipped[0], [1]), flipped[1])]
    expected = delta_statistics(both, **OPTIONS)
    got = delta_statistics(both[:1], **OPTIONS | {"mirrored": True})
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("use_difficult", [False, True])
def test_difficult_objects_count_with_use_difficult_only(use_difficult):
    images = [(record([[0, 0, 40, 40]], [2], [True]), np.float32([[4, 0, 44, 40], [0, 4, 40, 48]]))]
    mean, _ = delta_statistics(images, **OPTIONS | {"use_difficult": use_difficult})
    assert (mean[2] != 0).any() == use_difficult


def test_images_without_objects_or_proposals():
    images = [(record([], []), np.float32([[0, 0, 5, 5]])), (record([[0, 0, 9, 9]], [1]), np.zeros((0, 4), np.float32))]
    mean, std = delta_statistics(images, **OPTIONS)
    assert not mean.any()
    assert (std == 1).all()
