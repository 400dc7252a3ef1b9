"""ResNet-50 with a feature pyramid: parameters, sizes, the padding law, and dtypes."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.fpn_net import fpn_net
from jaxdet.nets.resnet50 import FROZEN_NORM
from tests.nets.random_params import random_params


def narrow(**changes):
    return fpn_net(**({"num_classes": 2, "num_anchors": 3, "width": 1 / 16, "head_features": 8} | changes))


@functools.cache
def params():
    return random_params(narrow().init)


def count(shapes, *starts):
    return sum(
        math.prod(leaf.shape) for name, layer in shapes.items() if name.startswith(starts) for leaf in layer.values()
    )


def test_numbers_of_parameters_are_torchvisions():
    shapes = jax.eval_shape(fpn_net(num_classes=90, num_anchors=3).init, jax.random.key(0))
    norms = count(shapes, FROZEN_NORM)
    backbone = count(shapes, "conv1", "layer")
    assert backbone + norms == 25_557_032 - 2_049_000  # resnet50 without fc; norms have weight and bias
    assert count(shapes, "fpn_") == 3_344_384
    assert count(shapes, "fc", "cls_score", "bbox_pred") == 14_362_055
    # fasterrcnn_resnet50_fpn has 41,755,286 without norms; the RPN's background logits come on top.
    assert count(shapes, "") - norms == 41_755_286 + 3 * 257


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shapes_and_dtypes(dtype):
    net = narrow(compute_dtype=dtype)
    image = jax.ShapeDtypeStruct((2, 64, 112, 3), jnp.uint8)
    sizes = jnp.asarray([[64.0, 112.0], [33.0, 49.0]])
    features, cells = jax.eval_shape(lambda p, x: net.features(p, net.preprocess(x), sizes), params(), image)
    assert [x.shape for x in features] == [(2, *s, 16) for s in ((16, 28), (8, 14), (4, 7), (2, 4), (1, 2))]
    assert {x.dtype for x in features} == {jnp.dtype(dtype)} and {x.dtype for x in cells} == {jnp.dtype("int32")}
    logits, deltas = jax.eval_shape(net.rpn, params(), features)
    anchors = 3 * (16 * 28 + 8 * 14 + 4 * 7 + 2 * 4 + 1 * 2)
    assert logits.shape == (2, anchors, 2) and deltas.shape == (2, anchors, 4)
    scores, boxes = jax.eval_shape(net.head, params(), jnp.zeros((2, 5, 7, 7, 16), dtype), None)
    assert scores.shape == (2, 5, 3) and boxes.shape == (2, 5, 3, 4)
    assert {x.dtype for x in (logits, deltas, scores, boxes)} == {jnp.dtype("float32")}


def test_pixels_outside_an_image_change_nothing():
    """An image alone and in larger buckets full of numbers, of odd and even cells; sides are rounded up."""
    features = jax.jit(narrow().features)
    size = jnp.asarray([[37.0, 50.0]])
    image = np.random.default_rng(1).uniform(0, 1, (37, 50, 3)).astype(np.float32)

    def bucket(height, width, outside):
        room = ((0, height - 37), (0, width - 50), (0, 0))
        return np.pad(image, room, constant_values=outside)[None]

    alone, cells = features(params(), image[None], size)
    assert [tuple(c[0]) for c in np.asarray(cells)] == [(10, 13), (5, 7), (3, 4), (2, 2), (1, 1)]
    padded, padded_cells = features(params(), bucket(80, 112, 9), size)
    for level, other, n, m in zip(alone, padded, cells, padded_cells, strict=True):
        np.testing.assert_array_equal(n, m)
        h, w = np.asarray(n[0])
        assert level.shape[1:3] == (h, w) and np.asarray(level).any((0, 3)).all()
        np.testing.assert_allclose(level, other[:, :h, :w], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(other[:, h:], 0)
        np.testing.assert_array_equal(other[:, :, w:], 0)


def test_unknown_names_and_too_small_widths_are_errors():
    for wrong, message in (
        ({"backbone": "resnet101"}, "net.backbone of a feature pyramid must be one of resnet50, got 'resnet101'"),
        ({"preprocessing": "torch"}, "net.preprocessing must be one of .* did you mean 'torchvision'"),
        ({"compute_dtype": "float16"}, "net.compute_dtype must be one of float32, bfloat16"),
        ({"width": 0.0}, "net.width must be at least 0.015625, got 0.0"),
    ):
        with pytest.raises(InputError, match=message):
            narrow(**wrong)
