"""Proposals against the same steps in numpy, and the edges of every limit."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet import ops
from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.nms import nms
from tests import laws

SIZE = jnp.array([100.0, 150.0])
LIMITS = {"pre_nms_top_n": 300, "post_nms_top_n": 40, "nms_iou": 0.7}
propose = jax.jit(ops.propose, static_argnames=("pre_nms_top_n", "post_nms_top_n", "nms_iou", "max_log_scale"))


def scene(seed=0):
    rng = np.random.default_rng(seed)
    anchors = grid_anchors(base_anchors(scales=(1, 2, 4)), (7, 10), stride=16)
    objectness = rng.normal(0, 2, len(anchors)).astype(np.float32)
    deltas = rng.normal(0, 0.5, (len(anchors), 4)).astype(np.float32)
    valid = np.asarray(anchor_valid((7, 10), jnp.array([7, 9]), 9))
    return objectness, deltas, anchors, valid, SIZE, jnp.float32(10)


def test_equals_decoding_sorting_and_suppressing_in_numpy():
    objectness, deltas, anchors, valid, size, min_size = scene()
    proposals = propose(objectness, deltas, anchors, valid, size, min_size, **LIMITS)

    boxes = np.asarray(clip(decode(jnp.asarray(deltas), jnp.asarray(anchors)), size))
    candidates = np.flatnonzero(valid & np.all(boxes[:, 2:] - boxes[:, :2] >= 10, axis=1))
    order = candidates[np.argsort(-objectness[candidates])][:300]
    selected, selected_valid = nms(
        jnp.asarray(boxes[order]),
        jnp.asarray(objectness[order]),
        jnp.ones(len(order), bool),
        iou_threshold=0.7,
        max_outputs=40,
    )
    assert np.all(selected_valid)
    assert np.all(proposals.valid)
    np.testing.assert_array_equal(proposals.scores, objectness[order][selected])
    np.testing.assert_allclose(proposals.boxes, boxes[order][selected], atol=1e-4)
    assert np.all(np.diff(proposals.scores) <= 0)


def test_small_and_invalid_boxes_are_not_proposed_and_free_slots_are_zero():
    objectness = jnp.array([9.0, 8.0, 7.0, 6.0])
    anchors = jnp.array([[0, 0, 15, 40], [0, 0, 16, 16], [140, 0, 160, 90], [60, 60, 90, 90]], jnp.float32)
    valid = jnp.array([True, True, True, False])
    proposals = propose(
        objectness,
        jnp.zeros((4, 4)),
        anchors,
        valid,
        SIZE,
        jnp.float32(16),  # 15 wide; exactly 16; 10 wide once clipped to the image; not valid
        pre_nms_top_n=100,
        post_nms_top_n=3,
        nms_iou=0.7,
    )
    np.testing.assert_array_equal(proposals.valid, [True, False, False])
    np.testing.assert_array_equal(proposals.boxes, [[0, 0, 16, 16], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(proposals.scores, [8, 0, 0])


def test_pre_nms_top_n_limits_the_candidates():
    objectness, deltas, anchors, valid, size, min_size = scene()
    proposals = propose(
        objectness, deltas, anchors, valid, size, min_size, pre_nms_top_n=5, post_nms_top_n=40, nms_iou=1.0
    )
    np.testing.assert_array_equal(proposals.valid, np.arange(40) < 5)


def test_huge_deltas_give_finite_boxes_and_max_log_scale_limits_the_sides():
    objectness, deltas, anchors, valid, size, min_size = scene()
    proposals = propose(objectness, 1000 * deltas, anchors, valid, size, min_size, **LIMITS)
    assert np.all(np.isfinite(proposals.boxes))
    limited = propose(
        jnp.ones(1), jnp.full((1, 4), 5.0) * jnp.array([[0.0, 0, 1, 1]]), jnp.array([[40.0, 40, 50, 50]]),
        jnp.ones(1, bool), SIZE, min_size, pre_nms_top_n=1, post_nms_top_n=1, nms_iou=0.7, max_log_scale=0.5,
    )  # fmt: skip
    half = 5 * np.exp(0.5)
    np.testing.assert_allclose(limited.boxes, [[45 - half, 45 - half, 45 + half, 45 + half]], rtol=1e-5)


def test_proposals_pass_no_gradient():
    objectness, deltas, *others = scene()

    def total(objectness, deltas):
        proposals = ops.propose(objectness, deltas, *others, **LIMITS)
        return jnp.sum(proposals.boxes) + jnp.sum(proposals.scores)

    for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(objectness, deltas):
        np.testing.assert_array_equal(gradient, 0)


def function(*args):
    return ops.propose(*args, **LIMITS)


def test_laws():
    args = scene()
    laws.assert_jit_law(function, *args, tolerance=1e-4)
    laws.assert_vmap_law(function, args, scene(1), (*scene(2)[:3], np.zeros_like(args[3]), *args[4:]), tolerance=1e-4)
    mask = np.random.default_rng(0).permutation(np.arange(800) < len(args[0]))
    laws.assert_padding_law(function, args, mask, range(4), lambda proposals, slots: proposals, tolerance=1e-4)
