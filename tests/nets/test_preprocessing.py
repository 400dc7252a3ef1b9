"""Channel order and units of the preprocessed image."""

import jax.numpy as jnp
import numpy as np

from jaxdet.nets.preprocessing import PREPROCESSINGS, caffe, caffe_rgb_mean, keras, torchvision


def test_caffe_reverses_the_channels_and_subtracts_the_mean():
    red = jnp.asarray([[[255, 0, 10]]], jnp.uint8)
    np.testing.assert_allclose(caffe(red), [[[10 - 102.9801, 0 - 115.9465, 255 - 122.7717]]], rtol=1e-6)


def test_caffe_rgb_mean_subtracts_the_rgb_mean_from_bgr_channels():
    red = jnp.asarray([[[255, 0, 10]]], jnp.uint8)
    np.testing.assert_allclose(caffe_rgb_mean(red), [[[10 - 122.7717, 0 - 115.9465, 255 - 102.9801]]], rtol=1e-6)


def test_torchvision_keeps_rgb_and_divides_by_the_standard_deviation():
    red = jnp.asarray([[[255, 0, 51]]], jnp.uint8)
    want = [[[(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]]]
    np.testing.assert_allclose(torchvision(red), want, rtol=1e-5)


def test_keras_reverses_the_channels_and_subtracts_its_own_mean():
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    want = image[..., ::-1].astype(np.float64) - [103.939, 116.779, 123.68]
    got = keras(jnp.asarray(image))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    assert PREPROCESSINGS["keras"] is keras
