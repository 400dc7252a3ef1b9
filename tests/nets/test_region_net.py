"""Exact parameter counts and shapes of the papers' nets, and independence of the images of a batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.backbones import BACKBONES
from jaxdet.nets.region_net import region_net
from tests.nets.random_params import random_params
from tests.nets.vgg16 import LAYERS


def test_vgg16_has_the_papers_parameters():
    shapes = jax.eval_shape(region_net(backbone="vgg16", num_classes=20, num_anchors=9).init, jax.random.key(0))
    count = {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in shapes.items()}
    assert sum(count[name] for name in LAYERS) == 14_714_688  # torchvision's vgg16().features
    assert count["fc6"] + count["fc7"] == 102_764_544 + 16_781_312
    assert count["rpn_conv"] == 2_359_808
    assert count["rpn_cls_score"] == 513 * 18 and count["rpn_bbox_pred"] == 513 * 36
    assert count["cls_score"] == 4097 * 21 and count["bbox_pred"] == 4097 * 84
    assert set(shapes) == {
        *LAYERS,
        "rpn_conv",
        "rpn_cls_score",
        "rpn_bbox_pred",
        "fc6",
        "fc7",
        "cls_score",
        "bbox_pred",
    }


@pytest.mark.parametrize(
    ("backbone", "counts"),
    [
        # With fc6 to fc8 (4,097,000) Caffe's bvlc_reference_caffenet has 60,965,224.
        ("alexnet", {"conv1": 34_944, "conv2": 307_456, "conv3": 885_120, "conv4": 663_936, "conv5": 442_624}),
        ("zf", {"conv1": 14_208, "conv2": 614_656, "conv3": 885_120, "conv4": 1_327_488, "conv5": 884_992}),
    ],
)
def test_alexnet_and_zf_have_the_papers_parameters(backbone, counts):
    net = region_net(backbone=backbone, num_classes=20, num_anchors=9)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    count = {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in shapes.items()}
    assert count == counts | {
        "rpn_conv": 590_080,
        "rpn_cls_score": 257 * 18,
        "rpn_bbox_pred": 257 * 36,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "cls_score": 4097 * 21,
        "bbox_pred": 4097 * 84,
    }


def narrow(backbone="vgg16", **changes):
    sizes = {"num_classes": 2, "num_anchors": 3, "width": 1 / 16, "head_features": 8}
    return region_net(backbone=backbone, **(sizes | changes))


@functools.cache
def params(backbone):
    return random_params(narrow(backbone).init)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shapes_and_dtypes(dtype):
    net = narrow(compute_dtype=dtype)
    image = jnp.full((2, 48, 64, 3), 100, jnp.uint8)
    run = jax.jit(net.features)
    features, size = run(params("vgg16"), net.preprocess(image), jnp.asarray([[48.0, 64.0], [33.0, 49.0]]))
    assert features.shape == (2, 3, 4, 32) and features.dtype == dtype
    np.testing.assert_array_equal(size, [[3, 4], [3, 4]])
    logits, deltas = jax.jit(net.rpn)(params("vgg16"), features)
    assert logits.shape == (2, 3 * 4 * 3, 2) and deltas.shape == (2, 3 * 4 * 3, 4)
    pooled, keys = jnp.zeros((2, 5, 7, 7, 32), dtype), jax.random.split(jax.random.key(1), 2)
    scores, boxes = jax.eval_shape(net.head, params("vgg16"), pooled, keys)
    assert scores.shape == (2, 5, 3) and boxes.shape == (2, 5, 3, 4)
    assert {x.dtype for x in (logits, deltas, scores, boxes)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_pixels_outside_an_image_change_nothing(backbone, rounding):
    """An image alone (or in the smallest bucket) and in a larger bucket full of numbers; the stride is 16."""
    net = narrow(backbone, pool_rounding=rounding)
    features = jax.jit(net.features)
    height, width = (37, 50) if backbone != "vgg16" else (48, 64)  # 2x2 pooling needs even sides
    size = jnp.asarray([[37.0, 50.0]])
    image = np.random.default_rng(1).uniform(0, 100, (37, 50, 3)).astype(np.float32)

    def bucket(height, width, outside):
        room = ((0, height - 37), (0, width - 50), (0, 0))
        return np.pad(image, room, constant_values=outside)[None]

    alone, cells = features(params(backbone), bucket(height, width, 0), size)
    padded, padded_cells = features(params(backbone), bucket(64, 80, 9), size)
    np.testing.assert_array_equal(cells, padded_cells)
    h, w = np.asarray(cells[0])
    assert 1 <= h <= 4 and 1 <= w <= 5 and np.asarray(alone[:, :h, :w]).any((0, 3)).all()
    np.testing.assert_allclose(alone[:, :h, :w], padded[:, :h, :w], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(padded[:, h:], 0)
    np.testing.assert_array_equal(padded[:, :, w:], 0)


@pytest.mark.parametrize(("rounding", "want"), [("ceil", [39, 64]), ("floor", [38, 63])])
@pytest.mark.parametrize("backbone", ["alexnet", "zf"])
def test_number_of_cells_of_600_x_1000_pixels(backbone, rounding, want):
    """Caffe has 39x64, one more along each side than VGG16, because of the zeros around the poolings."""
    features = narrow(backbone, pool_rounding=rounding).features
    image, size = jax.ShapeDtypeStruct((1, 600, 1000, 3), jnp.float32), jnp.asarray([[600.0, 1000.0]])
    out, _ = jax.eval_shape(features, params(backbone), image, size)
    assert out.shape == (1, *want, 16)


def test_without_anchors_there_is_no_region_proposal_network():
    net = narrow(num_anchors=0)
    assert net.rpn is None
    fresh = jax.eval_shape(net.init, jax.random.key(0))
    assert fresh.keys() == params("vgg16").keys() - {"rpn_conv", "rpn_cls_score", "rpn_bbox_pred"}


def test_dropout_depends_only_on_the_images_key():
    net = narrow(dropout=0.5)
    head = jax.jit(net.head)
    pooled = np.random.default_rng(0).uniform(size=(3, 4, 7, 7, 32)).astype(np.float32)
    keys = jax.random.split(jax.random.key(2), 3)
    together, _ = head(params("vgg16"), pooled, keys)
    alone, _ = head(params("vgg16"), pooled[1:2], keys[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-7)
    assert not np.allclose(head(params("vgg16"), pooled, None)[0], together)


def test_unknown_names_and_too_small_widths_are_errors():
    with pytest.raises(InputError, match="net.preprocessing must be one of .*, got 'cafe'; did you mean 'caffe'"):
        narrow(preprocessing="cafe")
    with pytest.raises(InputError, match="net.init must be one of he_normal, looks_linear, got 'henormal'; did you"):
        narrow(init="henormal")
    with pytest.raises(InputError, match="net.pool_rounding must be one of ceil, floor, got 'round'"):
        narrow(pool_rounding="round")
    with pytest.raises(InputError, match="one of float32, bfloat16, got 'float23'; did you mean 'float32'"):
        narrow(compute_dtype="float23")
    for backbone in BACKBONES:
        with pytest.raises(InputError, match="net.width must be at least 0.015625, got 0.0; 1/64 leaves conv1 one"):
            narrow(backbone, width=0.0)
        narrow(backbone, width=1 / 64)
    with pytest.raises(InputError, match="net.backbone must be one of .*, got 'vgg'; did you mean 'vgg_m'"):
        narrow("vgg")
