"""He's variance, and the linear start of nets with paired channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.nets.heads import HiddenLayers
from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.layers.initializers import INITS, kernel_initializers
from jaxdet.nets.region_net import region_net

FIRST_LAYER, AFTER_RELU = kernel_initializers("looks_linear")
KEYS = jax.random.split(jax.random.key(0), 13)


def deep(x, first, later):
    """Return the output of thirteen layers of 256 features, the last without its ReLU."""
    x = x @ first(KEYS[0], (x.shape[1], 256), jnp.float32)
    for key in KEYS[1:]:
        x = jax.nn.relu(x) @ later(key, (256, 256), jnp.float32)
    return x


@pytest.mark.parametrize("shape", [(3, 3, 64, 48), (7, 7, 3, 96), (1024, 256)])
def test_he_normal_has_variance_two_over_fan_in_in_every_layer(shape):
    first_layer, after_relu = kernel_initializers("he_normal")
    for initializer in (first_layer, after_relu):
        kernel = initializer(jax.random.key(0), shape, jnp.float32)
        assert kernel.shape == shape and kernel.dtype == jnp.float32
        np.testing.assert_allclose(kernel.std(), (2 / np.prod(shape[:-1])) ** 0.5, rtol=0.02)
        assert abs(float(kernel.mean())) < 0.02 * float(kernel.std())
        assert float(jnp.abs(kernel[..., 0::2] + kernel[..., 1::2]).mean()) > 0  # no pairs


@pytest.mark.parametrize("shape", [(3, 3, 64, 48), (1024, 256), (5, 5, 6, 7)])
def test_looks_linear_pairs_inputs_and_outputs_of_opposite_weights(shape):
    kernel = AFTER_RELU(jax.random.key(0), shape, jnp.float32)
    assert kernel.shape == shape and kernel.dtype == jnp.float32
    np.testing.assert_array_equal(kernel[..., 0::2, :], -kernel[..., 1::2, :])
    np.testing.assert_array_equal(kernel[..., 0 : shape[-1] // 2 * 2 : 2], -kernel[..., 1::2])
    first = FIRST_LAYER(jax.random.key(0), shape, jnp.float32)
    np.testing.assert_array_equal(first[..., 0 : shape[-1] // 2 * 2 : 2], -first[..., 1::2])
    assert float(jnp.abs(first[..., 0::2, :] + first[..., 1::2, :]).mean()) > 0


def test_odd_last_channel_is_not_paired():
    kernel = AFTER_RELU(jax.random.key(0), (5, 3), jnp.float32)
    np.testing.assert_array_equal(kernel[0:4:2], -kernel[1:4:2])
    assert not np.isin(np.abs(kernel[4]), np.abs(kernel[:4])).any()


@pytest.mark.parametrize("binomial", [(1, 2, 1), (1, 4, 6, 4, 1), (1,)])
def test_looks_linear_has_hes_variance_and_the_taps_of_a_binomial_filter(binomial):
    side = len(binomial)
    kernel = np.asarray(AFTER_RELU(jax.random.key(0), (side, side, 256, 256), jnp.float32))
    taps = kernel.std(axis=(2, 3))
    np.testing.assert_allclose(np.square(taps).mean(), 2 / (side * side * 256), rtol=0.02)
    np.testing.assert_allclose(taps / taps.max(), np.outer(binomial, binomial) / max(binomial) ** 2, rtol=0.04)


def test_looks_linear_hidden_layer_has_hes_variance():
    kernel = np.asarray(AFTER_RELU(jax.random.key(0), (512, 512), jnp.bfloat16), np.float32)
    np.testing.assert_allclose(kernel.std(), (2 / 512) ** 0.5, rtol=0.02)


def test_thirteen_layers_start_as_a_linear_map_of_unchanged_power():
    a, b = jax.random.normal(jax.random.key(1), (2, 64, 256))
    looks_linear, plain = kernel_initializers("looks_linear"), kernel_initializers("he_normal")
    both = deep(a + b, *looks_linear)
    np.testing.assert_allclose(both, deep(a, *looks_linear) + deep(b, *looks_linear), atol=1e-4)
    # Twice the power of the input: He's first layer doubles it, for a ReLU to halve.
    assert 0.8 < float(jnp.square(both).mean() / jnp.square(a + b).mean() / 2) < 1.25
    assert float(jnp.abs(deep(a + b, *plain) - deep(a, *plain) - deep(b, *plain)).mean()) > 0.1


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(("backbone", "first"), [("vgg16", "conv1_1"), ("alexnet", "conv1"), ("zf", "conv1")])
def test_init_names_the_initialisers_of_all_convolutions_and_hidden_layers(backbone, first, init):
    net = region_net(backbone=backbone, num_classes=2, num_anchors=1, width=1 / 16, head_features=8, init=init)
    params = jax.jit(net.init)(jax.random.key(0))
    hidden = {name: layer["kernel"] for name, layer in params.items() if name.startswith(("conv", "fc"))}
    assert set(params) - set(hidden) == {"rpn_conv", "rpn_cls_score", "rpn_bbox_pred", "cls_score", "bbox_pred"}
    looks_linear = init == "looks_linear"
    for name, kernel in hidden.items():
        paired_outputs = float(jnp.abs(kernel[..., 0::2] + kernel[..., 1::2]).max()) == 0
        inputs = kernel.shape[-2] // 2 * 2
        paired_inputs = float(jnp.abs(kernel[..., 0:inputs:2, :] + kernel[..., 1:inputs:2, :]).max()) == 0
        assert paired_outputs == looks_linear
        assert paired_inputs == (looks_linear and name != first)


@pytest.mark.parametrize("init", INITS)
def test_the_rpns_layers_and_the_output_layers_are_initialised_as_in_the_papers(init):
    net = region_net(backbone="zf", num_classes=20, num_anchors=9, width=1 / 8, head_features=256, init=init)
    params = jax.jit(net.init)(jax.random.key(0))
    for name, std in {"rpn_conv": 0.01, "rpn_cls_score": 0.01, "rpn_bbox_pred": 0.01, "cls_score": 0.01}.items():
        np.testing.assert_allclose(params[name]["kernel"].std(), std, rtol=0.1, err_msg=name)
    np.testing.assert_allclose(params["bbox_pred"]["kernel"].std(), 0.001, rtol=0.1)


@pytest.mark.parametrize("groups", [1, 2])
def test_two_convolutions_start_linear(groups):
    def two(x):
        x = conv_general_dilated(x, kernels[0], (1, 1), "SAME", **options)
        return conv_general_dilated(jax.nn.relu(x), kernels[1], (1, 1), "SAME", **options, feature_group_count=groups)

    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    first = FIRST_LAYER(KEYS[0], (3, 3, 3, 16))
    kernels = first, AFTER_RELU(KEYS[1], (3, 3, 16 // groups, 8))
    a, b = jax.random.normal(KEYS[2], (2, 1, 6, 7, 3))
    np.testing.assert_allclose(two(a + b), two(a) + two(b), atol=1e-4)


def test_hidden_layers_start_linear_in_the_convolutions_output():
    def fc7(x):
        channels = jax.nn.relu(x @ FIRST_LAYER(KEYS[0], (5, 8)))
        pairs = hidden.apply({"params": params}, channels.reshape(1, 2, 3, 3, 8), None)
        return pairs[..., 0::2] - pairs[..., 1::2]  # before its ReLU

    hidden = HiddenLayers(kernel_init=AFTER_RELU, features=(16, 16), dropout=0.0)
    params = hidden.init(KEYS[1], jnp.zeros((1, 2, 3, 3, 8)), None)["params"]
    a, b = jax.random.normal(KEYS[2], (2, 2 * 3 * 3, 5))
    np.testing.assert_allclose(fc7(a + b), fc7(a) + fc7(b), atol=1e-4)
