"""Exact parameter counts and shapes of the paper's net, and the independence of images in a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.region_net import region_net
from jaxdet.nets.vgg16 import LAYERS


def test_the_papers_vgg16_has_its_parameters():
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


def narrow(**changes):
    return region_net(backbone="vgg16", num_classes=2, num_anchors=3, width=1 / 16, head_features=8, **changes)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_shapes_and_dtypes(dtype):
    net = narrow(compute_dtype=dtype)
    params = net.init(jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    image = jnp.full((2, 48, 64, 3), 100, jnp.uint8)
    features, size = net.features(params, net.normalise(image), jnp.asarray([[48.0, 64.0], [33.0, 49.0]]))
    assert features.shape == (2, 3, 4, 32) and features.dtype == dtype
    np.testing.assert_array_equal(size, [[3, 4], [3, 4]])
    logits, deltas = net.rpn(params, features)
    assert logits.shape == (2, 3 * 4 * 3, 2) and deltas.shape == (2, 3 * 4 * 3, 4)
    scores, boxes = net.head(params, jnp.zeros((2, 5, 7, 7, 32), dtype), jax.random.split(jax.random.key(1), 2))
    assert scores.shape == (2, 5, 3) and boxes.shape == (2, 5, 3, 4)
    assert {x.dtype for x in (logits, deltas, scores, boxes)} == {jnp.dtype("float32")}


def test_what_lies_outside_an_image_does_not_matter():
    net = narrow()
    params = net.init(jax.random.key(0))
    image = jax.random.uniform(jax.random.key(1), (1, 64, 64, 3))
    size = jnp.asarray([[37.0, 50.0]])
    alone, _ = net.features(params, image[:, :48], size)
    other, _ = net.features(params, image.at[:, 37:].set(9.0).at[:, :, 50:].set(9.0), size)
    np.testing.assert_allclose(alone, other[:, :3], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(other[:, 3:], 0)


def test_dropout_depends_on_the_images_key_alone():
    net = narrow(dropout=0.5)
    params = net.init(jax.random.key(0))
    pooled = jax.random.uniform(jax.random.key(1), (3, 4, 7, 7, 32))
    keys = jax.random.split(jax.random.key(2), 3)
    together, _ = net.head(params, pooled, keys)
    alone, _ = net.head(params, pooled[1:2], keys[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-7)
    assert not np.allclose(net.head(params, pooled, None)[0], together)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="did you mean 'caffe'"):
        narrow(normalisation="cafe")
    with pytest.raises(InputError, match="'ceil' or 'floor'"):
        narrow(pooling="round")
    with pytest.raises(InputError, match="'float32' or 'bfloat16'"):
        narrow(compute_dtype="float23")
    with pytest.raises(InputError, match="at least one of its 64 channels"):
        region_net(backbone="vgg16", num_classes=2, num_anchors=3, width=0.0)
