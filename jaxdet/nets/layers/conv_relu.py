"""Convolution and ReLU that zero the padding around each image of the batch."""

from typing import Any

import flax.linen as nn
import jax
from flax.linen.initializers import Initializer

from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.layers.pooling import zero_outside


def conv_relu(
    x: jax.Array,
    size: jax.Array,
    features: int,
    *,
    kernel: int,
    name: str,
    dtype: Any,
    kernel_init: Initializer,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
) -> tuple[jax.Array, jax.Array]:
    """Add a layer to the Flax module that calls this.

    Cells outside an image are zero before and after, so an image in a larger bucket has the features that it has alone.

    Args:
      x: [B,h,w,C]; 0 outside each image.
      size: i32[B,2] (height, width) of each image in x.
      features: channels of the output.
      kernel: side of the kernel.
      name: name of the layer's parameters.
      dtype: of the computation and the output.
      kernel_init: see nets.layers.initializers.
      stride: cells between outputs, along both axes.
      padding: zeros on every side; None is kernel // 2.
      groups: groups of channels, each with its own kernel.

    Returns:
      ([B,h',w',features], i32[B,2] its size per image).
    """
    padding = kernel // 2 if padding is None else padding
    x = nn.Conv(
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=((padding, padding), (padding, padding)),
        feature_group_count=groups,
        dtype=dtype,
        kernel_init=kernel_init,
        conv_general_dilated=conv_general_dilated,
        name=name,
    )(x)
    size = (size + (2 * padding - kernel)) // stride + 1
    return zero_outside(nn.relu(x), size), size
