"""Each op gives the same on a TPU's side of its choice by platform as on the other, which other files test."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops import roi_align_tpu
from jaxdet.ops.detect import best_by_index as detections_by_index
from jaxdet.ops.detect import best_by_sorting as detections_by_sorting
from jaxdet.ops.nms import kept_sorted, nms_sorted
from jaxdet.ops.propose import best_by_index, best_by_sorting
from jaxdet.ops.propose_by_level import best_by_index as level_proposals_by_index
from jaxdet.ops.propose_by_level import best_by_sorting as level_proposals_by_sorting
from jaxdet.ops.roi_align import average_by_index, axis_samples, gradient_by_index
from jaxdet.ops.take_rows import select_rows


def boxes_and_scores(*shape):
    """Boxes that overlap, scores of which many are equal, and a mask."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (*shape, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (*shape, 2))], axis=-1).astype(np.float32)
    return (
        jnp.asarray(boxes),
        jnp.asarray(rng.integers(1, 9, shape) / 8, jnp.float32),
        jnp.asarray(rng.random(shape) < 0.8),
    )


def assert_equal(got, want):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("max_outputs", [7, 100])
def test_suppression_keeps_the_same_boxes_as_a_mask(max_outputs):
    boxes, _, valid = boxes_and_scores(90)
    limits = {"iou_threshold": 0.3, "max_outputs": max_outputs}
    index, selected = nms_sorted(boxes, valid, **limits)
    keep = kept_sorted(boxes, valid, **limits, tile=32)
    np.testing.assert_array_equal(np.flatnonzero(keep), index[selected])


@pytest.mark.parametrize(("entering", "max_outputs"), [(60, 9), (90, 100)])
def test_proposals(entering, max_outputs):
    boxes, scores, candidate = boxes_and_scores(90)
    arguments = jnp.where(candidate, scores, -jnp.inf), boxes, candidate
    limits = {"entering": entering, "nms_iou": 0.5, "max_outputs": max_outputs}
    by_sorting, by_index = (
        jax.jit(functools.partial(form, **limits))(*arguments) for form in (best_by_sorting, best_by_index)
    )
    assert_equal(by_sorting, by_index)


@pytest.mark.parametrize(("entering", "max_outputs"), [(20, 30), (60, 200)])
def test_proposals_by_level(entering, max_outputs):
    boxes, scores, candidate = boxes_and_scores(90)
    arguments = jnp.where(candidate, scores, -jnp.inf), boxes, jnp.float32(8)
    limits = {"level_sizes": (60, 22, 8), "entering": entering, "nms_iou": 0.5, "max_outputs": max_outputs}
    by_sorting, by_index = (
        jax.jit(functools.partial(form, **limits))(*arguments)
        for form in (level_proposals_by_sorting, level_proposals_by_index)
    )
    assert 10 < by_index.valid.sum() <= max_outputs
    assert_equal(by_sorting, by_index)


@pytest.mark.parametrize(("entering", "max_detections"), [(30, 12), (10, 40), (30, 500)])
def test_detections(entering, max_detections):
    boxes, scores, candidate = boxes_and_scores(4, 30)
    limits = {"entering": entering, "nms_iou": 0.4, "max_detections": max_detections}
    by_sorting, by_index = (
        jax.jit(functools.partial(form, **limits))(scores, boxes, candidate)
        for form in (detections_by_sorting, detections_by_index)
    )
    assert_equal(by_sorting, by_index)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.int32, bool])
def test_rows_of_a_table(dtype):
    table = jnp.asarray(np.random.default_rng(0).integers(0, 9, (5, 3)) > 4, dtype)
    index = jnp.asarray([4, 0, 0, 3], jnp.int32)
    assert_equal(select_rows(table, index), table[index])
    assert_equal(select_rows(table[:, 0], index), table[index, 0])


@pytest.mark.parametrize("one_product", [1000, 12], ids=["both at once", "the finer one in turn"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_roi_align_over_two_levels_and_its_gradient(dtype, one_product, monkeypatch):
    monkeypatch.setattr(roi_align_tpu, "_ONE_PRODUCT", one_product)
    monkeypatch.setattr(roi_align_tpu, "_BOXES", 2)
    rng = np.random.default_rng(0)
    sizes = (6, 9), (3, 4)
    features = tuple(jnp.asarray(rng.normal(size=(*size, 4)), dtype) for size in sizes)
    boxes = [[0, 0, 144, 96], [20, 30, 90, 80], [0, 0, 60, 40], [-60, -60, 300, 300], [0, 0, 0, 0]]
    boxes, level = jnp.asarray(boxes, jnp.float32) / 16, jnp.asarray([0, 0, 1, 0, 1], jnp.int32)
    last = jnp.asarray([[6, 8], [3, 4]], jnp.int32)[level]  # the finer map's last column is padding
    arguments = (
        level,
        axis_samples(boxes[:, 1], boxes[:, 3], last[:, :1], 3),
        axis_samples(boxes[:, 0], boxes[:, 2], last[:, 1:], 3),
    )
    got = jax.jit(roi_align_tpu.average)(features, *arguments)
    want = jax.jit(average_by_index)(features, *arguments)
    assert got.dtype == want.dtype == dtype
    tolerance = 1e-6 if dtype == jnp.float32 else 2**-7  # two roundings to bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32), want.astype(jnp.float32), atol=tolerance, rtol=tolerance)
    gradients = (
        jax.jit(functools.partial(form, sizes=sizes))(got, *arguments)
        for form in (roi_align_tpu.gradient, gradient_by_index)
    )
    for gradient, scattered in zip(*gradients, strict=True):
        assert gradient.dtype == scattered.dtype
        np.testing.assert_allclose(gradient, scattered, atol=4 * tolerance, rtol=4 * tolerance)
        assert not np.any(gradient[:, 8:])


def test_roi_align_of_a_batch_is_that_of_each_image():
    rng = np.random.default_rng(1)
    features = jnp.asarray(rng.normal(size=(2, 6, 9, 4)), jnp.float32)
    starts = jnp.asarray(rng.uniform(0, 4, (2, 3, 2)), jnp.float32)

    def pool(features, starts):
        level = jnp.zeros(3, jnp.int32)
        vertical, horizontal = (axis_samples(starts[:, i], starts[:, i] + 2, features.shape[i], 3) for i in range(2))
        return roi_align_tpu.average((features,), level, vertical, horizontal)

    batch = jax.jit(jax.vmap(pool))(features, starts)
    for image in range(2):
        np.testing.assert_allclose(batch[image], jax.jit(pool)(features[image], starts[image]), atol=1e-6)
