"""A convolution with its ReLU that knows where each image of the batch ends."""

from typing import Any

import flax.linen as nn
import jax

from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.layers.initializers import behind_relu
from jaxdet.nets.layers.pooling import zero_outside


def conv_relu(
    x: jax.Array,
    size: jax.Array,
    features: int,
    *,
    kernel: int,
    name: str,
    dtype: Any,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    kernel_init: nn.initializers.Initializer = behind_relu,
) -> tuple[jax.Array, jax.Array]:
    """The next layer of the Flax module that calls it: x [B,h,w,C] and size i32[B,2] -> [B,h',w',features], its size.

    `padding` on every side is kernel // 2 where none is given. Cells outside are zero before and after, so that an
    image in a larger bucket gives what it gives alone.
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
