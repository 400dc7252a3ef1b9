"""Proposals over several levels: against a plain loop, and the laws of every op."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.ops.boxes import clip, decode
from jaxdet.ops.boxes_np import box_iou
from jaxdet.ops.propose_by_level import propose_by_level
from tests import laws

LEVELS = (40, 12, 3)
OPTIONS = {"pre_nms_top_n": 10, "post_nms_top_n": 16, "nms_iou": 0.5}
SIZE, MIN_SIZE = np.float32([60, 80]), np.float32(4.0)


def outputs(seed, levels=LEVELS):
    rng, count = np.random.default_rng(seed), sum(levels)
    corners = rng.uniform(-10, 70, (count, 2)).astype(np.float32)
    anchors = np.concatenate([corners, corners + rng.uniform(3, 40, (count, 2)).astype(np.float32)], axis=1)
    deltas = rng.normal(0, 0.2, (count, 4)).astype(np.float32)
    return rng.normal(size=count).astype(np.float32), deltas, anchors, rng.random(count) < 0.8


@jax.jit
def decoded(deltas, anchors):
    return clip(decode(deltas, anchors), SIZE)


def loop(objectness, deltas, anchors, valid):
    """One level after the other: best anchors, small boxes dropped, greedy NMS; then the best of all."""
    boxes, best, start = np.asarray(decoded(deltas, anchors)), [], 0
    iou = box_iou(boxes[:, None], boxes[None])
    for length in LEVELS:
        index = np.arange(start, start + length)[valid[start : start + length]]
        index = index[np.argsort(-objectness[index])][: OPTIONS["pre_nms_top_n"]]
        kept = []
        for i in index:
            if (boxes[i, 2:] - boxes[i, :2] >= MIN_SIZE).all() and not (iou[i, kept] > 0.5).any():
                kept.append(i)
        best += kept
        start += length
    best = sorted(best, key=lambda i: -objectness[i])[: OPTIONS["post_nms_top_n"]]
    return objectness[best], boxes[best]


propose = functools.partial(propose_by_level, **OPTIONS)


def example(seed):
    return (*outputs(seed), SIZE, MIN_SIZE)


def with_levels(levels):
    return lambda *args: propose(*args, levels)


def test_it_equals_a_loop_over_the_levels():
    function = jax.jit(with_levels(LEVELS))
    for seed in range(4):
        proposals = jax.device_get(function(*example(seed)))
        scores, boxes = loop(*outputs(seed))
        assert proposals.valid.sum() == len(scores) > 5
        np.testing.assert_allclose(proposals.scores[: len(scores)], scores)
        np.testing.assert_allclose(proposals.boxes[: len(scores)], boxes, atol=1e-4)
        np.testing.assert_array_equal(proposals.boxes[len(scores) :], 0)


def test_few_anchors_leave_slots_empty():
    function = jax.jit(with_levels((2, 1)))
    proposals = function(*outputs(0, (2, 1))[:3], np.array([True, False, True]), SIZE, MIN_SIZE)
    assert proposals.boxes.shape == (16, 4) and proposals.valid.sum() <= 2
    none = function(*outputs(0, (2, 1))[:3], np.zeros(3, bool), SIZE, MIN_SIZE)
    assert not none.valid.any() and not none.boxes.any()


def test_vmap_equals_a_loop():
    laws.assert_vmap_law(with_levels(LEVELS), example(0), example(1), tolerance=1e-5)


def test_a_larger_bucket_changes_nothing():
    """Invalid anchors between those of each level."""
    levels, mask = (50, 12, 7), np.ones(69, bool)
    mask[[0, 3, 9, 20, 33, 41, 42, 43, 44, 45, 62, 63, 67, 68]] = False
    assert [mask[:50].sum(), mask[50:62].sum(), mask[62:].sum()] == list(LEVELS)
    expected, function = jax.jit(with_levels(LEVELS))(*example(2)), jax.jit(with_levels(levels))
    for garbage in (False, True):
        rng = np.random.default_rng(0)
        padded = [laws.insert_slots(rng, array, mask, garbage) for array in outputs(2)]
        laws.assert_close(function(*padded, SIZE, MIN_SIZE), expected, tolerance=1e-5)


def test_no_gradient_flows():
    objectness, deltas, anchors, valid = map(jnp.asarray, outputs(0))

    def total(objectness, deltas):
        proposals = propose(objectness, deltas, anchors, valid, SIZE, MIN_SIZE, LEVELS)
        return jnp.sum(proposals.boxes) + jnp.sum(proposals.scores)

    for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(objectness, deltas):
        np.testing.assert_array_equal(gradient, 0)
