"""Convolutions and their gradients against `jax.lax`, in every case that is computed differently."""

import functools
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxdet.nets.layers import fast_conv
from jaxdet.nets.layers.fast_conv import conv_general_dilated
from tests.golden.make_backbones import texture

NHWC = ("NHWC", "HWIO", "NHWC")
SAME3X3 = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": NHWC}
CONVOLUTIONS = (conv_general_dilated, lax.conv_general_dilated)

# Enough pixels and channels for Winograd's algorithm.
WINOGRAD = {"batch": 2, "height": 33, "width": 32, "channels": 256, "filters": 256}


def arrays(batch=2, height=7, width=9, channels=32, filters=64, size=3, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=(batch, height, width, channels)), dtype),
        jnp.asarray(rng.normal(size=(size, size, channels, filters)), dtype),
    )


def value_and_gradients(convolution, x, kernel, **options):
    options = {**SAME3X3, **options}
    output, vjp = jax.vjp(functools.partial(convolution, **options), x, kernel)
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=output.shape), output.dtype)
    return output, *vjp(cotangent)


def assert_equals_stock(x, kernel, tolerance=1e-5, **options):
    ours = jax.jit(functools.partial(value_and_gradients, conv_general_dilated, **options))(x, kernel)
    stock = jax.jit(functools.partial(value_and_gradients, lax.conv_general_dilated, **options))(x, kernel)
    for got, expected in zip(ours, stock, strict=True):
        assert got.dtype == expected.dtype
        got, expected = got.astype(jnp.float32), expected.astype(jnp.float32)
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * float(jnp.abs(expected).max()))


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 7, 9), (3, 4, 5), (2, 1, 1), (1, 2, 16)])
def test_small_convolutions_and_gradients_equal_jax(batch, height, width):
    assert_equals_stock(*arrays(batch, height, width))
    assert_equals_stock(*arrays(batch, height, width, channels=3, filters=16))


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 47, 45), (2, 33, 32), (1, 2, 1024)])
def test_winograd_convolutions_and_gradients_equal_jax(batch, height, width):
    assert_equals_stock(*arrays(batch, height, width, channels=256, filters=264))


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (2, 2)},
        {"padding": "VALID"},
        {"padding": ((0, 1), (1, 1))},
        {"rhs_dilation": (2, 2)},
        {"padding": ((1, 1), (1, 1)), "lhs_dilation": (1, 2)},
        {"padding": ((1, 1), (1, 1)), "rhs_dilation": (1, 1)},
    ],
)
def test_other_strides_paddings_and_dilations_equal_jax(options):
    assert_equals_stock(*arrays(), **options)


def test_other_kernels_and_groups_equal_jax():
    assert_equals_stock(*arrays(size=1))
    assert_equals_stock(*arrays(size=5))
    x, kernel = arrays()
    assert_equals_stock(x, kernel[:, :, :16], feature_group_count=2)


def test_groups_equal_torch():
    """The torch values come from tests/golden/make_backbones.py."""
    x = jnp.asarray(texture(6, 7, 8, seed=31))[None]
    kernel = jnp.asarray(texture(6, 4, 3, 3, seed=32).transpose(2, 3, 1, 0))
    y, vjp = jax.vjp(lambda x, k: conv_general_dilated(x, k, feature_group_count=2, **SAME3X3), x, kernel)
    input_gradient, kernel_gradient = vjp(2 * y)
    with np.load(pathlib.Path(__file__).parents[2] / "golden" / "backbones.npz") as want:
        np.testing.assert_allclose(y[0], want["groups"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(input_gradient[0], want["groups/input_gradient"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(kernel_gradient, want["groups/kernel_gradient"], rtol=1e-4, atol=1e-5)


def test_bfloat16_gradients_are_near_those_of_jax():
    assert_equals_stock(*arrays(dtype=jnp.bfloat16), tolerance=0.02)


@pytest.mark.parametrize("min_channels", [256, 16])
def test_scan_and_vmap(min_channels, monkeypatch):
    """With the kernel gradient as one product and, where 16 channels suffice, with Winograd's algorithm."""
    monkeypatch.setattr(fast_conv, "MIN_WINOGRAD_CHANNELS", min_channels)
    monkeypatch.setattr(fast_conv, "MIN_WINOGRAD_PIXELS", 1)
    x, kernel = arrays(channels=48, filters=48)
    kernel /= 3 * 48**0.5  # sums near 1: where tanh is flat, three layers multiply the rounding errors

    def loss(convolution, kernel, x):
        def step(carry, _):
            return jnp.tanh(convolution(carry, kernel, **SAME3X3)), None

        return jnp.sum(lax.scan(step, x, None, length=3)[0] ** 2)

    gradients = [jax.jit(jax.grad(functools.partial(loss, c))) for c in CONVOLUTIONS]
    assert ("convolution" in gradients[0].lower(kernel, x).as_text()) == (min_channels == 256)
    ours, stock = (gradient(kernel, x) for gradient in gradients)
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-5 * float(jnp.abs(stock).max()))
    x = jnp.stack([x, 2 * x])
    ours, stock = (
        jax.jit(jax.vmap(jax.grad(functools.partial(loss, c)), in_axes=(None, 0)))(kernel, x) for c in CONVOLUTIONS
    )
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-5 * float(jnp.abs(stock).max()))


def test_flax_layer_uses_the_fast_gradient():
    x, _ = arrays()
    stock = nn.Conv(64, (3, 3))
    layer = nn.Conv(64, (3, 3), conv_general_dilated=conv_general_dilated)
    variables = stock.init(jax.random.key(0), x)
    gradient = jax.grad(lambda v: jnp.sum(layer.apply(v, x) ** 2))
    expected = jax.grad(lambda v: jnp.sum(stock.apply(v, x) ** 2))(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), gradient(variables), expected)
    assert "dot_general" in str(jax.make_jaxpr(gradient)(variables))


@pytest.mark.parametrize("shape", [{}, WINOGRAD])
def test_gradient_lowers_for_every_platform(shape):
    x, kernel = arrays(**shape)
    gradient = jax.jit(jax.grad(lambda kernel, x: jnp.sum(conv_general_dilated(x, kernel, **SAME3X3)), argnums=(0, 1)))
    exported = export.export(gradient, platforms=["cpu", "cuda", "tpu"])(kernel, x)
    jax.tree.map(np.testing.assert_array_equal, tuple(exported.call(kernel, x)), gradient(kernel, x))
    gpu_only = export.export(gradient, platforms=["cuda"])(kernel, x).mlir_module()
    assert "dot_general" not in gpu_only and "convolution" in gpu_only


def test_only_large_float32_convolutions_use_winograd_on_cpu():
    """Bfloat16 would lose too much in the transforms."""
    both = jax.jit(functools.partial(value_and_gradients, conv_general_dilated))
    shapes = WINOGRAD, WINOGRAD | {"channels": 255}, WINOGRAD | {"height": 31}, WINOGRAD | {"dtype": jnp.bfloat16}
    uses_convolution = ["convolution" in both.lower(*arrays(**shape)).as_text() for shape in shapes]
    assert uses_convolution == [False, True, True, True]


SHARDED = """
import sys, jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxdet.nets.layers.fast_conv import conv_general_dilated
assert jax.device_count() == 8
rng, channels = np.random.default_rng(0), int(sys.argv[1])
x = jnp.asarray(rng.normal(size=(16, 8, 17, channels)), jnp.float32)
kernel = jnp.asarray(rng.normal(size=(3, 3, channels, 256)), jnp.float32)
conv = lambda x, k: conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
gradient = jax.jit(jax.grad(lambda k, x: jnp.sum(jnp.sin(conv(x, k)))))
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
sharded = gradient(kernel, jax.device_put(x, NamedSharding(mesh, PartitionSpec("data"))))
alone = gradient(kernel, x)
np.testing.assert_allclose(sharded, alone, rtol=0, atol=1e-5 * float(jnp.abs(alone).max()))
"""


@pytest.mark.parametrize("channels", [32, 256])
def test_batch_sharded_over_eight_devices_has_the_same_gradient(scripts, channels):
    scripts.start_code(SHARDED, str(channels), devices=8).end()


@pytest.mark.parametrize(
    ("size", "stride", "padding", "height", "width"),
    [
        (11, 4, ((5, 5), (5, 5)), 64, 90),  # AlexNet's conv1 over whole images
        (11, 4, "VALID", 67, 70),  # over crops, with pixels that no window reaches
        (7, 2, ((3, 3), (3, 3)), 32, 49),  # ZF-Net's
        (3, 2, "SAME", 17, 20),
    ],
)
def test_strided_convolutions_of_few_channels_equal_jax(size, stride, padding, height, width):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, height, width, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(size, size, 3, 4)), jnp.float32)
    options = {"window_strides": (stride, stride), "padding": padding, "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    expected, stock = jax.vjp(lambda x, kernel: jax.lax.conv_general_dilated(x, kernel, **options), x, kernel)
    got, ours = jax.vjp(lambda x, kernel: conv_general_dilated(x, kernel, **options), x, kernel)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    g = jnp.asarray(rng.normal(size=expected.shape), jnp.float32)
    for gradient, expected in zip(ours(g), stock(g), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * float(jnp.abs(expected).max()))
