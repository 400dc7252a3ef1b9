"""Each op gives the same on a TPU's side of its choice by platform as on the other, which other files test."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops.detect import best_by_index as detections_by_index
from jaxdet.ops.detect import best_by_sorting as detections_by_sorting
from jaxdet.ops.nms import kept_sorted, nms_sorted
from jaxdet.ops.propose import best_by_index, best_by_sorting
from jaxdet.ops.roi_align import average_by_index, axis_samples, gradient_by_index
from jaxdet.ops.roi_align_tpu import matrix_product, matrix_product_gradient
from jaxdet.ops.sampling import by_rank, by_rank_sorted
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


@pytest.mark.parametrize(("entering", "max_detections"), [(30, 12), (10, 40), (30, 500)])
def test_detections(entering, max_detections):
    boxes, scores, candidate = boxes_and_scores(4, 30)
    limits = {"entering": entering, "nms_iou": 0.4, "max_detections": max_detections}
    by_sorting, by_index = (
        jax.jit(functools.partial(form, **limits))(scores, boxes, candidate)
        for form in (detections_by_sorting, detections_by_index)
    )
    assert_equal(by_sorting, by_index)


def test_random_numbers_by_rank():
    _, values, valid = boxes_and_scores(50)
    sorted_, looked_up = by_rank_sorted(values, valid), by_rank(values, valid)
    np.testing.assert_array_equal(sorted_[valid], looked_up[valid])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.int32, bool])
def test_rows_of_a_table(dtype):
    table = jnp.asarray(np.random.default_rng(0).integers(0, 9, (5, 3)) > 4, dtype)
    index = jnp.asarray([4, 0, 0, 3], jnp.int32)
    assert_equal(select_rows(table, index), table[index])
    assert_equal(select_rows(table[:, 0], index), table[index, 0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_roi_align_and_its_gradient(dtype):
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(6, 9, 4)), dtype)
    boxes = jnp.asarray([[0, 0, 144, 96], [20, 30, 90, 80], [-60, -60, 300, 300], [0, 0, 0, 0]], jnp.float32) / 16
    vertical = axis_samples(boxes[:, 1], boxes[:, 3], 6, 3)
    horizontal = axis_samples(boxes[:, 0], boxes[:, 2], 8, 3)  # the last column is padding
    got = matrix_product(features, vertical, horizontal)
    want = average_by_index(features, vertical, horizontal)
    assert got.dtype == want.dtype == dtype
    tolerance = 1e-6 if dtype == jnp.float32 else 2**-8  # one rounding to bfloat16
    np.testing.assert_allclose(got.astype(jnp.float32), want.astype(jnp.float32), atol=tolerance, rtol=tolerance)
    gradient, scattered = (
        form(got, vertical, horizontal, size=(6, 9)) for form in (matrix_product_gradient, gradient_by_index)
    )
    np.testing.assert_allclose(gradient, scattered, atol=4 * tolerance, rtol=4 * tolerance)
    assert not np.any(gradient[:, 8])
