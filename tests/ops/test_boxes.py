"""Boxes against torchvision 0.29 (golden/ops.npz); inverses and symmetry for random boxes."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdet.ops.boxes import clip, decode, encode, inside, pairwise_iou
from tests import laws

golden = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")


@st.composite
def box_sets(draw, length=8, smallest=0.01):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-200, 1000, (length, 2))
    size = np.exp(rng.uniform(np.log(smallest), np.log(1000), (length, 2)))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def test_iou_equals_torchvision():
    iou = pairwise_iou(jnp.asarray(golden["iou/a"]), jnp.asarray(golden["iou/b"]))
    np.testing.assert_allclose(iou, golden["iou/iou"], rtol=1e-6, atol=1e-7)


def test_iou_of_empty_and_inverted_boxes_is_zero():
    boxes = jnp.array([[0, 0, 0, 0], [5, 5, 5, 90], [90, 90, 5, 5], [9, 0, 0, 9], [0, 0, 10, 10]], jnp.float32)
    expected = np.zeros((5, 5))
    expected[4, 4] = 1
    np.testing.assert_array_equal(pairwise_iou(boxes, boxes), expected)


@settings(max_examples=25, deadline=None)
@given(box_sets(), box_sets())
def test_iou_is_symmetric_and_between_zero_and_one(a, b):
    iou = np.asarray(pairwise_iou(jnp.asarray(a), jnp.asarray(b)))
    np.testing.assert_array_equal(iou, pairwise_iou(jnp.asarray(b), jnp.asarray(a)).T)
    assert np.all((iou >= 0) & (iou <= 1))
    # float32 corners near 1000 leave a side of 0.01 only a few significant bits, but a box overlaps itself fully.
    np.testing.assert_allclose(np.diag(pairwise_iou(jnp.asarray(a), jnp.asarray(a))), 1, rtol=1e-6)


@pytest.mark.parametrize(("name", "std"), [("unit", (1, 1, 1, 1)), ("std", (0.1, 0.1, 0.2, 0.2))])
def test_codec_equals_torchvision(name, std):
    reference, gt = jnp.asarray(golden["codec/reference"]), jnp.asarray(golden["codec/gt"])
    std = np.array([std], np.float32)
    np.testing.assert_allclose(encode(gt, reference) / std, golden[f"codec/{name}/deltas"], rtol=2e-5, atol=2e-5)
    deltas = jnp.asarray(golden[f"codec/{name}/random_deltas"]) * std
    decoded = decode(deltas, reference, max_log_scale=float(np.log(1000 / 16)))
    np.testing.assert_allclose(decoded, golden[f"codec/{name}/decoded"], rtol=1e-5, atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(box_sets(smallest=1), box_sets(smallest=1))
def test_decode_inverts_encode(boxes, anchors):
    boxes, anchors = jnp.asarray(boxes), jnp.asarray(anchors)
    # dx in units of a one-pixel anchor has few significant bits: 1e-4 of the larger of the two scales.
    np.testing.assert_allclose(decode(encode(boxes, anchors), anchors), boxes, rtol=1e-5, atol=5e-3)
    np.testing.assert_allclose(encode(anchors, anchors), jnp.zeros_like(anchors), atol=1e-5)


def test_encode_is_finite_for_degenerate_boxes():
    boxes = jnp.array([[0, 0, 0, 0], [5, 5, 5, 90], [90, 90, 5, 5], [-1e6, 0, 1e6, 1e-30], [0, 0, 10, 10]])
    deltas = encode(boxes[:, None, :], boxes[None, :, :])
    assert np.all(np.isfinite(deltas))


def test_decode_limits_the_scale_only_when_asked():
    anchor = jnp.array([[0.0, 0.0, 10.0, 10.0]])
    deltas = jnp.array([[0.0, 0.0, 3.0, -3.0]])
    np.testing.assert_allclose(jnp.diff(decode(deltas, anchor)[:, ::2])[0, 0], 10 * np.exp(3), rtol=1e-6)
    limited = decode(deltas, anchor, max_log_scale=1.0)
    np.testing.assert_allclose(limited[:, 2:] - limited[:, :2], [[10 * np.e, 10 * np.exp(-3)]], rtol=1e-5)


def test_clip_and_inside_read_the_size_as_height_width():
    boxes = jnp.array([[-5, -5, 700, 700], [0, 0, 640, 480], [0, 0, 480, 640], [-0.1, 0, 1, 1]], jnp.float32)
    size = jnp.array([480.0, 640.0])
    clipped = [[0, 0, 640, 480], [0, 0, 640, 480], [0, 0, 480, 480], [0, 0, 1, 1]]
    np.testing.assert_array_equal(clip(boxes, size), clipped)
    np.testing.assert_array_equal(inside(boxes, size), [False, True, False, False])


def test_laws():
    a, b = jnp.asarray(golden["iou/a"]), jnp.asarray(golden["iou/b"])
    reference, gt = jnp.asarray(golden["codec/reference"]), jnp.asarray(golden["codec/gt"])
    size = jnp.array([400.0, 500.0])
    for function, args in (
        (pairwise_iou, (a, b)),
        (encode, (gt, reference)),
        (decode, (0.1 * gt / 600, reference)),
        (clip, (gt, size)),
        (inside, (gt, size)),
    ):
        laws.assert_jit_law(function, *args, tolerance=1e-4)
        laws.assert_vmap_law(
            function, args, tuple(np.float32(0.5) * np.asarray(arg) + 1 for arg in args), tolerance=1e-4
        )
