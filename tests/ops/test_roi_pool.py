"""RoI max pooling and its gradient against torchvision 0.29 (golden/ops.npz) and a plain loop."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdet.ops.roi_pool import roi_max_pool

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")


def loop_pool(features, boxes, cotangent, bins, stride):
    """Pool by a plain loop in float32; the gradient goes to the first maximum in row-major order."""
    height, width, channels = features.shape
    output = np.zeros((len(boxes), bins, bins, channels), np.float32)
    gradient = np.zeros(features.shape, np.float32)
    for r, box in enumerate(np.asarray(boxes, np.float32) / np.float32(stride)):
        x1, y1, x2, y2 = (int(np.copysign(np.floor(np.float64(abs(v)) + 0.5), v)) for v in box)
        edges = []
        for first, last, size in ((y1, y2, height), (x1, x2, width)):
            cut = np.arange(bins + 1, dtype=np.float32) * (np.float32(max(last - first + 1, 1)) / np.float32(bins))
            edges.append(np.clip([np.floor(cut[:-1]) + first, np.ceil(cut[1:]) + first], 0, size).astype(int))
        for i in range(bins):
            for j in range(bins):
                window = features[edges[0][0, i] : edges[0][1, i], edges[1][0, j] : edges[1][1, j]]
                if window.size == 0:
                    continue
                flat = window.reshape(-1, channels)
                output[r, i, j] = flat.max(axis=0)
                y, x = np.unravel_index(flat.argmax(axis=0), window.shape[:2])
                np.add.at(gradient, (edges[0][0, i] + y, edges[1][0, j] + x, np.arange(channels)), cotangent[r, i, j])
    return output, gradient


@functools.partial(jax.jit, static_argnums=(3, 4))
def pool_and_gradient(features, boxes, cotangent, bins=7, stride=16):
    output, vjp = jax.vjp(lambda f: roi_max_pool(f, boxes, output_size=bins, stride=stride), features)
    return output, vjp(cotangent)[0]


def assert_equals_loop(features, boxes, bins=7, stride=16):
    cotangent = np.random.default_rng(1).normal(size=(len(boxes), bins, bins, features.shape[2])).astype(np.float32)
    output, gradient = pool_and_gradient(features, boxes, cotangent, bins, stride)
    expected_output, expected_gradient = loop_pool(features, boxes, cotangent, bins, stride)
    np.testing.assert_array_equal(output, expected_output)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("image", [0, 1])
def test_output_and_gradient_equal_torchvision(image):
    in_image = GOLDEN["roi/batch_index"] == image
    boxes = jnp.asarray(GOLDEN["roi/rois"][in_image])
    features = jnp.asarray(GOLDEN["roi/features"][image])
    output, gradient = pool_and_gradient(features, boxes, jnp.asarray(GOLDEN["roi/cotangent"][in_image]))
    np.testing.assert_array_equal(output, GOLDEN["roi/pool/out"][in_image])
    # Without differentiation another path is taken, without the table of indices.
    np.testing.assert_array_equal(jax.jit(roi_max_pool)(features, boxes), GOLDEN["roi/pool/out"][in_image])
    np.testing.assert_allclose(gradient, GOLDEN["roi/pool/grad"][image], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "bins", "stride"), [(3, 90, 7, 16), (38, 64, 7, 16), (13, 13, 6, 17), (5, 8, 2, 8)]
)
def test_equals_the_loop_on_ties_and_all_box_lengths(height, width, bins, stride):
    rng = np.random.default_rng(height)
    features = rng.integers(-2, 3, (height, width, 2)).astype(np.float32)  # few values: ties everywhere
    first = rng.uniform(-0.1, 0.9, (40, 2)) * [width, height] * stride
    last = first + rng.uniform(0, 1, (40, 2)) * ([width * stride, height * stride] - first)
    boxes = np.concatenate([first, last], axis=1).astype(np.float32)
    whole = np.array([[0, 0, width * stride, height * stride]], np.float32)
    assert_equals_loop(features, np.concatenate([boxes, whole]), bins, stride)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-3, 26)] * 4), min_size=4, max_size=4), st.integers(0, 99))
def test_equals_the_loop_on_half_way_corners(corners, seed):
    features = np.random.default_rng(seed).normal(size=(9, 12, 2)).astype(np.float32)
    assert_equals_loop(features, np.array(corners, np.float32) * 8)  # every second corner lies half way; some inverted


def test_vmap_equals_a_loop_over_images():
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(2, 9, 14, 3)), jnp.float32)
    boxes = jnp.asarray(np.sort(rng.uniform(0, 140, (2, 5, 2, 2)), axis=2).reshape(2, 5, 4), jnp.float32)
    gradient = jax.jit(jax.grad(lambda f, b: jnp.sum(roi_max_pool(f, b) ** 2)))
    batched = jax.jit(jax.vmap(gradient))(features, boxes)
    for i in range(2):
        np.testing.assert_allclose(batched[i], gradient(features[i], boxes[i]), rtol=1e-6)


def test_zero_padding_changes_nothing_after_relu():
    rng = np.random.default_rng(0)
    features = jnp.asarray(np.maximum(rng.normal(size=(9, 14, 3)), 0), jnp.float32)
    canvas = jnp.zeros((16, 20, 3), jnp.float32).at[:9, :14].set(features)
    boxes = jnp.array([[0, 0, 224, 144], [100, 60, 224, 144], [216, 136, 224, 144], [0, 0, 0, 0]], jnp.float32)
    np.testing.assert_array_equal(roi_max_pool(canvas, boxes), roi_max_pool(features, boxes))


def test_invalid_and_far_boxes_are_finite_and_boxes_receive_no_gradient():
    features = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8, 2)), jnp.float32)
    boxes = jnp.array([[0, 0, 0, 0], [-1e9, -1e9, 1e9, 1e9], [5e3, 5e3, 6e3, 6e3], [90, 70, 10, 10]], jnp.float32)
    output, vjp = jax.vjp(roi_max_pool, features, boxes)
    feature_gradient, box_gradient = vjp(jnp.ones_like(output))
    assert np.all(np.isfinite(output)) and np.all(np.isfinite(feature_gradient))
    np.testing.assert_array_equal(output[0], jnp.broadcast_to(features[0, 0], (7, 7, 2)))
    assert not np.any(output[2])
    assert not np.any(box_gradient)


def test_bfloat16_features_pool_exactly():
    features = jnp.asarray(np.random.default_rng(0).normal(size=(9, 14, 3)), jnp.bfloat16)
    boxes = jnp.array([[0, 0, 224, 144], [100, 60, 200, 140]], jnp.float32)
    output, vjp = jax.vjp(lambda f: roi_max_pool(f, boxes), features)
    assert output.dtype == jnp.bfloat16 and vjp(output)[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(output.astype(jnp.float32), roi_max_pool(features.astype(jnp.float32), boxes))
