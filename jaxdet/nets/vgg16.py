"""VGG16's thirteen convolutions (Simonyan & Zisserman 2014, configuration D), up to conv5_3: stride 16.

Only four poolings: RoI pooling replaces the fifth (Fast R-CNN, 2.2).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers.conv_relu import conv_relu
from jaxdet.nets.layers.initializers import KernelInit
from jaxdet.nets.layers.pooling import max_pool_2x2, zero_outside

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions)


class VGG16(nn.Module):
    """Image f32[B,H,W,3] (H, W multiples of 16) and size i32[B,2] -> features [B,H/16,W/16,512*width] and their size.

    `width` multiplies every channel count (1.0 is the paper's). All cells outside an image are zero, before, between
    and after the layers, as if each image were alone.
    """

    kernel_init: KernelInit
    width: float = 1.0
    pool_rounding: str = "ceil"
    dtype: Any = jnp.float32

    pool_size = 7
    rpn_features = 512
    fc7_share = 1.0

    @property
    def channels(self) -> int:
        return round(512 * self.width)

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = zero_outside(x, size).astype(self.dtype)
        for block, (channels, convolutions) in enumerate(BLOCKS, 1):
            if block > 1:
                x, size = max_pool_2x2(x, size, rounding=self.pool_rounding)
            for i in range(1, convolutions + 1):
                features = round(channels * self.width)
                x, size = conv_relu(
                    x,
                    size,
                    features,
                    kernel=3,
                    dtype=self.dtype,
                    kernel_init=self.kernel_init.first_layer if block == i == 1 else self.kernel_init.after_relu,
                    name=f"conv{block}_{i}",
                )
        return x, size
