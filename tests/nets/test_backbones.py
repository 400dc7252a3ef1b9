"""AlexNet and ZF-Net against torch with the same parameters (tests/golden/make_backbones.py)."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.crop_net import crop_net
from jaxdet.nets.region_net import region_net
from tests.golden.make_backbones import image, state

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "backbones.npz"
SIZES = {"num_classes": 1, "width": 1 / 16, "head_features": 4}


def params(net):
    """Return HWIO kernels from OIHW; test_torch tests the reader of whole files."""
    arrays = state(net)
    return {
        name: {"kernel": arrays[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": arrays[f"{name}.bias"]}
        for name in (f"conv{i}" for i in range(1, 6))
    }


def assert_close(got, want):
    assert (want > 0).mean() > 0.2
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * want.max())


def test_a_resnet_is_answered_with_its_config():
    with pytest.raises(
        InputError, match=r"got 'resnet101'; ResNet-50 with .* is the config faster_resnet50_fpn_devkit"
    ):
        region_net(backbone="resnet101", num_anchors=1, **SIZES)


@pytest.mark.parametrize("backbone", ["alexnet", "zf"])
def test_conv5_equals_torch(backbone):
    net = region_net(backbone=backbone, num_anchors=1, **SIZES)
    features = jax.jit(net.features)
    bucket = np.pad(image(61, 90), ((0, 3), (0, 6), (0, 0)), constant_values=7)[None]
    got, size = features(params(backbone), bucket, jnp.asarray([[61.0, 90.0]]))
    with np.load(GOLDEN) as golden:
        want = golden[f"{backbone}/conv5"]
    np.testing.assert_array_equal(size, [want.shape[:2]])
    assert_close(got[0, : size[0, 0], : size[0, 1]], want)


def test_pool5_of_alexnets_crop_equals_torch():
    net = crop_net(backbone="alexnet", **SIZES)
    got = jax.jit(net.conv)(params("alexnet"), image(227, 227)[None])
    with np.load(GOLDEN) as golden:
        assert got.shape == (1, *net.pool5_shape) == (1, *golden["alexnet/pool5"].shape)
        assert_close(got[0], golden["alexnet/pool5"])
