"""Channel order and units of the input."""

import jax.numpy as jnp
import numpy as np

from jaxdet.nets.normalise import caffe, torchvision


def test_caffe_subtracts_the_mean_after_turning_to_bgr():
    red = jnp.asarray([[[255, 0, 10]]], jnp.uint8)
    np.testing.assert_allclose(caffe(red), [[[10 - 102.9801, 0 - 115.9465, 255 - 122.7717]]], rtol=1e-6)


def test_torchvision_keeps_rgb_in_units_of_the_deviation():
    red = jnp.asarray([[[255, 0, 51]]], jnp.uint8)
    want = [[[(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]]]
    np.testing.assert_allclose(torchvision(red), want, rtol=1e-5)
