"""RoIAlign and its gradient against torchvision 0.29 (golden/ops.npz), and its behaviour at the image's border."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops.roi_align import roi_align, roi_align_by_level
from tests.xla import FUSED

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "ops.npz")


def features_and_boxes(seed=0, height=12, width=15, channels=3, count=6):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-10, 120, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 150, (count, 2))], axis=1)
    return jnp.asarray(rng.normal(size=(height, width, channels)), jnp.float32), jnp.asarray(boxes, jnp.float32)


@pytest.mark.parametrize("image", [0, 1])
def test_output_and_gradient_equal_torchvision(image):
    in_image = GOLDEN["roi/batch_index"] == image
    boxes = jnp.asarray(GOLDEN["roi/rois"][in_image])
    output, vjp = jax.vjp(lambda f: roi_align(f, boxes), jnp.asarray(GOLDEN["roi/features"][image]))
    np.testing.assert_allclose(output, GOLDEN["roi/align_sr2/out"][in_image], atol=2e-5)
    (gradient,) = vjp(jnp.asarray(GOLDEN["roi/cotangent"][in_image]))
    np.testing.assert_allclose(gradient, GOLDEN["roi/align_sr2/grad"][image], atol=5e-5)


def test_linear_features_are_sampled_at_the_bin_centres():
    column = jnp.broadcast_to(jnp.arange(20, dtype=jnp.float32)[None, :, None], (20, 20, 1))
    boxes = jnp.array([[40.0, 64.0, 152.0, 176.0]], jnp.float32)  # bins of one cell
    # The centre 48 + 16 i of bin i lies at cell 3 + i.
    np.testing.assert_allclose(roi_align(column, boxes)[0, 0, :, 0], 3 + np.arange(7), atol=1e-5)


def test_features_outside_the_image_change_nothing():
    features, boxes = features_and_boxes()
    canvas = jnp.full((20, 24, 3), 1e3, jnp.float32).at[:12, :15].set(features)
    size = (jnp.int32(12), jnp.int32(15))

    def padded(features):
        return roi_align(features, boxes, feature_size=size)

    # Without the fusion of users' programs two programs may round the same sum in two ways.
    in_canvas = jax.jit(padded, compiler_options=FUSED)
    got = in_canvas(canvas)
    np.testing.assert_array_equal(got, in_canvas(jnp.where(canvas == 1e3, 0, canvas)))
    np.testing.assert_array_equal(got, jax.jit(roi_align, compiler_options=FUSED)(features, boxes))
    gradient = jax.grad(lambda f: jnp.sum(padded(f) ** 2))(canvas)
    assert not np.any(gradient[12:]) and not np.any(gradient[:, 15:])
    expected = jax.grad(lambda f: jnp.sum(roi_align(f, boxes) ** 2))(features)
    np.testing.assert_allclose(gradient[:12, :15], expected, rtol=1e-5, atol=1e-5)


def test_vmap_equals_a_loop_over_images():
    (f0, b0), (f1, b1) = features_and_boxes(1), features_and_boxes(2)
    sizes = jnp.array([[12, 15], [9, 11]], jnp.int32)

    def gradient(features, boxes, size):
        return jax.grad(lambda f: jnp.sum(roi_align(f, boxes, feature_size=(size[0], size[1])) ** 2))(features)

    batched = jax.jit(jax.vmap(gradient))(jnp.stack([f0, f1]), jnp.stack([b0, b1]), sizes)
    for i, (f, b) in enumerate(((f0, b0), (f1, b1))):
        np.testing.assert_allclose(batched[i], gradient(f, b, sizes[i]), rtol=1e-5, atol=1e-5)


def test_empty_and_far_boxes_are_finite_and_boxes_receive_no_gradient():
    features, _ = features_and_boxes()
    boxes = jnp.array([[0, 0, 0, 0], [50, 50, 50, 50], [-900, -900, -800, -800], [9e3, 9e3, 1e4, 1e4]], jnp.float32)
    output, vjp = jax.vjp(roi_align, features, boxes)
    feature_gradient, box_gradient = vjp(jnp.ones_like(output))
    assert np.all(np.isfinite(output)) and np.all(np.isfinite(feature_gradient))
    assert not np.any(output[2:])
    assert not np.any(box_gradient)


def test_bfloat16_features_give_a_bfloat16_result_near_the_float32_one():
    features, boxes = features_and_boxes()
    low = features.astype(jnp.bfloat16)
    output, vjp = jax.vjp(lambda f: roi_align(f, boxes), low)
    assert output.dtype == jnp.bfloat16 and vjp(output)[0].dtype == jnp.bfloat16
    expected = roi_align(low.astype(jnp.float32), boxes)
    np.testing.assert_allclose(output.astype(jnp.float32), expected, rtol=0.01, atol=1e-3)


def levels(rng):
    """Maps of 256x192 pixels at strides 4 to 32."""
    return [jnp.asarray(rng.normal(size=(256 // s, 192 // s, 3)), jnp.float32) for s in STRIDES]


STRIDES = (4, 8, 16, 32)
# The side of a box and its level: k = floor(4 + log2(side / 224)) from P2 to P5 (FPN, eq. 1).
LEVEL_OF_SIDE = ((0, 0), (10, 0), (111.9, 0), (112, 1), (223.9, 1), (224, 2), (447, 2), (448, 3), (2000, 3))


def test_each_box_is_pooled_from_the_level_of_its_size():
    maps = levels(np.random.default_rng(0))
    sizes = [jnp.asarray([x.shape[0] - 1, x.shape[1]], jnp.int32) for x in maps]
    corner = np.float32([20, 10])
    boxes = np.float32([[*corner, *(corner + side)] for side, _ in LEVEL_OF_SIDE])
    pooled = roi_align_by_level(maps, boxes, feature_sizes=sizes, strides=STRIDES)
    for box, result, (_, level) in zip(boxes, pooled, LEVEL_OF_SIDE, strict=True):
        alone = roi_align(maps[level], box[None], feature_size=sizes[level], stride=STRIDES[level])[0]
        np.testing.assert_allclose(result, alone, atol=1e-6)


def test_the_gradient_over_levels_is_that_of_each_level():
    maps = levels(np.random.default_rng(1))
    sizes = [jnp.asarray(x.shape[:2], jnp.int32) for x in maps]
    boxes = np.float32([[0, 0, 60, 70], [10, 20, 190, 230]])  # the first and second level

    def total(maps):
        return jnp.sum(roi_align_by_level(maps, boxes, feature_sizes=sizes, strides=STRIDES) ** 2)

    def by_hand(maps):
        each = [roi_align(maps[i], boxes[i : i + 1], stride=STRIDES[i]) for i in range(2)]
        return sum(jnp.sum(x**2) for x in each)

    for got, want in zip(jax.grad(total)(maps), jax.grad(by_hand)(maps), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)
