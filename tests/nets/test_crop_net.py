"""Shapes of both nets, the parameters that they share with the region nets, and dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.crop_net import crop_net
from jaxdet.nets.region_net import region_net
from tests.nets.random_params import random_params


@pytest.mark.parametrize(("backbone", "side", "pool5"), [("alexnet", 227, (6, 6, 256)), ("vgg16", 224, (7, 7, 512))])
def test_papers_nets_have_their_shapes_and_share_parameters_with_region_nets(backbone, side, pool5):
    net = crop_net(backbone=backbone, num_classes=20)
    params = jax.eval_shape(net.init, jax.random.key(0))
    whole = jax.eval_shape(region_net(backbone=backbone, num_classes=20, num_anchors=0).init, jax.random.key(0))
    assert params == {name: layer for name, layer in whole.items() if name != "bbox_pred"}
    crops = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    got = jax.eval_shape(net.conv, params, crops)
    fc7 = jax.eval_shape(net.fc7, params, got, jax.random.key(1))
    logits = jax.eval_shape(net.classify, params, fc7)
    assert (net.input_size, net.pool5_shape, net.fc7_features) == (side, pool5, 4096)
    assert (got.shape, fc7.shape, logits.shape) == ((2, *pool5), (2, 4096), (2, 21))
    assert {x.dtype for x in (got, fc7, logits)} == {jnp.dtype("float32")}


def test_dropout_depends_on_the_key_and_outputs_are_float32():
    net = crop_net(backbone="alexnet", num_classes=2, width=1 / 16, head_features=64, compute_dtype="bfloat16")
    params = random_params(net.init)
    fc7 = jax.jit(net.fc7)
    pool5 = np.random.default_rng(1).uniform(size=(3, *net.pool5_shape)).astype(np.float32)
    whole, dropped = (fc7(params, pool5, key) for key in (None, jax.random.key(2)))
    assert whole.dtype == dropped.dtype == jnp.float32
    assert ((np.asarray(dropped) == 0) & (np.asarray(whole) > 0)).mean() > 0.1
    np.testing.assert_array_equal(dropped, fc7(params, pool5, jax.random.key(2)))
    assert jax.eval_shape(net.classify, params, whole).shape == (3, 3)


def test_zf_is_an_error():
    with pytest.raises(InputError, match="net.backbone of R-CNN must be one of alexnet, vgg16, got 'zf'"):
        crop_net(backbone="zf", num_classes=2)
