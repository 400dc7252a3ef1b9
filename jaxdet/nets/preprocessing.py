"""Preprocessing of images, on the device. The weights that a net starts from determine which one it needs."""

import jax
import jax.numpy as jnp
import numpy as np

# ImageNet's mean pixel in the order blue, green, red, as py-faster-rcnn subtracts it.
CAFFE_MEAN_BGR = np.array([102.9801, 115.9465, 122.7717], np.float32)
# The same mean as Simonyan & Zisserman's models and Keras define it.
KERAS_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
TORCHVISION_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
TORCHVISION_STD = np.array([0.229, 0.224, 0.225], np.float32)


def caffe(image: jax.Array) -> jax.Array:
    """u8[...,3] RGB -> f32[...,3] BGR minus ImageNet's mean, in 0..255 units."""
    return _bgr_minus(image, CAFFE_MEAN_BGR)


def keras(image: jax.Array) -> jax.Array:
    """As `caffe`, but with the mean of keras.applications, about one unit larger in each channel."""
    return _bgr_minus(image, KERAS_MEAN_BGR)


def caffe_rgb_mean(image: jax.Array) -> jax.Array:
    """As `caffe`, but with the mean in RGB order on the BGR channels, as simple-faster-rcnn-pytorch trains."""
    return _bgr_minus(image, CAFFE_MEAN_BGR[::-1])


def _bgr_minus(image: jax.Array, mean: np.ndarray) -> jax.Array:
    return image[..., ::-1].astype(jnp.float32) - mean.reshape((1,) * (image.ndim - 1) + (3,))


def torchvision(image: jax.Array) -> jax.Array:
    """u8[...,3] RGB -> f32[...,3] RGB in units of ImageNet's standard deviation: (image / 255 - mean) / std."""
    shape = (1,) * (image.ndim - 1) + (3,)
    unit = image.astype(jnp.float32) / 255.0
    return (unit - TORCHVISION_MEAN.reshape(shape)) / TORCHVISION_STD.reshape(shape)


PREPROCESSINGS = {"caffe": caffe, "caffe_rgb_mean": caffe_rgb_mean, "keras": keras, "torchvision": torchvision}
