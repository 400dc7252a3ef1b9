"""Detections against torchvision 0.29's batched_nms (golden/ops.npz), and every limit at its edge."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet import ops
from tests import laws

golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")
SIZE = jnp.array([100.0, 150.0])
RULE = {"score_threshold": 0.05, "nms_iou": 0.3, "max_detections": 20}
detect = jax.jit(ops.detect, static_argnames=("nms_iou", "pre_nms_per_class", "max_detections", "max_log_scale"))


@pytest.mark.parametrize("most", [0, 5, 1000])
def test_equals_torchvisions_batched_nms(most):
    """Greedy suppression of the best boxes is not changed by worse ones: with a limit, fewer of the same boxes stay."""
    boxes, classes = golden["batched_nms/boxes"], golden["batched_nms/classes"]
    num_classes = int(classes.max()) + 1
    scores = np.zeros((len(boxes), num_classes + 1), np.float32)
    scores[np.arange(len(boxes)), classes + 1] = golden["batched_nms/scores"]
    detections = detect(
        scores,
        np.zeros((*scores.shape, 4), np.float32),
        boxes,
        np.ones(len(boxes), bool),
        jnp.array([1e4, 1e4]),
        score_threshold=0.0,
        nms_iou=0.4,
        pre_nms_per_class=most,
        max_detections=300,
    )
    keep = golden["batched_nms/keep"]
    if most == 5:
        own = golden["batched_nms/scores"]
        better = (classes[None] == classes[:, None]) & (own[None] > own[:, None])
        keep, every = keep[better.sum(axis=1)[keep] < most], keep
        assert 3 < len(keep) < len(every)
    np.testing.assert_array_equal(detections.valid, np.arange(300) < len(keep))
    np.testing.assert_array_equal(detections.scores[: len(keep)], golden["batched_nms/scores"][keep])
    np.testing.assert_array_equal(detections.labels[: len(keep)], classes[keep] + 1)
    # Decoding zero deltas rounds: it goes through centre and size.
    np.testing.assert_allclose(detections.boxes[: len(keep)], np.maximum(boxes[keep], 0), atol=1e-3)


def scene(seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 90, (30, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (30, 2))], axis=1).astype(np.float32)
    scores = np.asarray(jax.nn.softmax(rng.normal(0, 1.5, (30, 5)).astype(np.float32)))
    deltas = rng.normal(0, 0.2, (30, 5, 4)).astype(np.float32)
    return scores, deltas, boxes, np.arange(30) < 27, SIZE


def test_three_detections_computed_by_hand():
    boxes = np.array([[0, 0, 50, 50], [0, 0, 50, 45], [100, 0, 170, 50], [60, 60, 90, 90]], np.float32)
    # Columns: background, class 1, class 2.
    scores = np.array([[0.9, 0.6, 0.3], [0.0, 0.5, 0.35], [0.0, 0.05, 0.7], [0.0, 0.9, 0.9]], np.float32)
    deltas = np.zeros((4, 3, 4), np.float32)
    deltas[2, 2] = [0, 0, 0, np.log(0.5)]  # half as high for class 2 only
    valid = np.array([True, True, True, False])
    detections = detect(scores, deltas, boxes, valid, SIZE, **RULE)
    # Class 1: RoI 0 suppresses 1, RoI 2 is not above the threshold. Class 2: RoI 1 suppresses 0, RoI 2 is clipped.
    np.testing.assert_array_equal(detections.valid, np.arange(20) < 3)
    np.testing.assert_array_equal(detections.labels[:4], [2, 1, 2, 0])
    np.testing.assert_allclose(detections.scores[:4], [0.7, 0.6, 0.35, 0])
    expected = [[100, 12.5, 150, 37.5], [0, 0, 50, 50], [0, 0, 50, 45], [0, 0, 0, 0]]
    np.testing.assert_allclose(detections.boxes[:4], expected, atol=1e-4)


def test_max_detections_keeps_the_best():
    scores, deltas, boxes, valid, size = scene()
    many = detect(scores, deltas, boxes, valid, size, **dict(RULE, max_detections=150))
    assert many.boxes.shape == (150, 4)  # more than there are RoIs times classes
    assert 20 < int(np.sum(many.valid)) < 108
    some = detect(scores, deltas, boxes, valid, size, **RULE)
    laws.assert_close(some, jax.tree.map(lambda leaf: np.asarray(leaf)[:20], many))


def test_only_the_best_boxes_of_each_class_enter_nms():
    """Three boxes per class enter; those that they suppress are not replaced by the fourth."""
    scores, deltas, boxes, valid, size = scene()
    got = detect(scores, deltas, boxes, valid, size, **RULE, pre_nms_per_class=3)
    limited = np.zeros_like(scores)
    for k in range(1, 5):
        best = np.argsort(-np.where(valid, scores[:, k], -1), kind="stable")[:3]
        limited[best, k] = scores[best, k]
    expected = detect(limited, deltas, boxes, valid, size, **RULE)
    laws.assert_close(got, expected)
    assert 4 < int(got.valid.sum()) < int(detect(scores, deltas, boxes, valid, size, **RULE).valid.sum())


def test_of_equal_scores_the_first_rois_enter_nms():
    boxes = np.array([[0, 0, 20, 20], [60, 60, 90, 90], [0, 60, 20, 90], [0, 0, 1, 1]], np.float32)
    scores, deltas = np.full((4, 3), 0.5, np.float32), np.zeros((4, 3, 4), np.float32)
    valid = np.array([False, True, True, True])
    detections = detect(scores, deltas, boxes, valid, SIZE, **RULE, pre_nms_per_class=2)
    np.testing.assert_array_equal(detections.labels[:5], [1, 1, 2, 2, 0])
    np.testing.assert_array_equal(detections.boxes[:4, 0], [60, 0, 60, 0])


def test_negative_scores_of_svms():
    boxes = np.array([[0, 0, 50, 50], [60, 60, 90, 90], [0, 60, 30, 90], [0, 0, 1, 1]], np.float32)
    scores = np.array([[0, -0.5, -3], [0, -1.5, -3], [0, -3, 0.2], [0, -3, -3]], np.float32)
    deltas = np.zeros((4, 3, 4), np.float32)
    detections = detect(scores, deltas, boxes, np.ones(4, bool), SIZE, **dict(RULE, score_threshold=-1.0))
    np.testing.assert_array_equal(detections.valid, np.arange(20) < 2)
    np.testing.assert_array_equal(detections.scores[:2], np.float32([0.2, -0.5]))
    np.testing.assert_array_equal(detections.labels[:2], [2, 1])


def test_equal_scores_are_ordered_by_class_then_roi():
    boxes = np.array([[0, 0, 20, 20], [60, 60, 90, 90], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    scores, deltas = np.full((4, 3), 0.5, np.float32), np.zeros((4, 3, 4), np.float32)
    detections = detect(scores, deltas, boxes, np.arange(4) < 2, SIZE, **RULE)
    np.testing.assert_array_equal(detections.labels[:5], [1, 1, 2, 2, 0])
    np.testing.assert_array_equal(detections.boxes[:4, 0], [0, 60, 0, 60])


def test_without_valid_rois_all_slots_are_zero():
    scores, deltas, boxes, valid, size = scene()
    for leaf in jax.tree.leaves(detect(scores, deltas, boxes, np.zeros_like(valid), size, **RULE)):
        np.testing.assert_array_equal(leaf, 0)


def test_a_box_of_overflowing_deltas_is_dropped():
    scores, deltas, boxes, valid, size = scene()
    deltas = np.array(deltas)
    deltas[0] = 3e38  # the centre and the size become infinite, and the corners NaN
    detections = detect(scores, deltas, boxes, valid, size, **RULE)
    others = detect(scores, deltas, boxes, np.asarray(valid) & (np.arange(len(valid)) > 0), size, **RULE)
    assert np.isfinite(detections.boxes).all() and np.asarray(detections.valid).any()
    for leaf, expected in zip(jax.tree.leaves(detections), jax.tree.leaves(others), strict=True):
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.parametrize("most", [0, 7])
def test_laws(most):
    def function(*args):
        return ops.detect(*args, **RULE, pre_nms_per_class=most)

    args = scene()
    laws.assert_jit_law(function, *args, tolerance=1e-4)
    laws.assert_vmap_law(function, args, scene(1), (*scene(2)[:3], np.zeros_like(args[3]), SIZE), tolerance=1e-4)
    mask = np.random.default_rng(0).permutation(np.arange(50) < 30)
    laws.assert_padding_law(function, args, mask, range(4), lambda detections, slots: detections, tolerance=1e-4)
