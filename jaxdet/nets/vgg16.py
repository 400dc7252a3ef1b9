"""VGG16's thirteen convolutions (Simonyan & Zisserman 2014, configuration D), up to conv5_3: stride 16.

Only four poolings: RoI pooling replaces the fifth (Fast R-CNN, 2.2).
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers import strips
from jaxdet.nets.layers.conv_relu import conv_relu
from jaxdet.nets.layers.initializers import KernelInit
from jaxdet.nets.layers.pooling import max_pool_2x2, zero_outside

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions)


class VGG16(nn.Module):
    """Image f32[B,H,W,3] (H, W multiples of 16) and size i32[B,2] -> features [B,H/16,W/16,512*width] and their size.

    `width` multiplies every channel count (1.0 is the paper's). All cells outside an image are zero, before, between
    and after the layers, as if each image were alone. `tpu` chooses the same function in the form that is fast there.
    """

    kernel_init: KernelInit
    width: float = 1.0
    pool_rounding: str = "ceil"
    dtype: Any = jnp.float32
    tpu: bool = False

    pool_size = 7
    rpn_features = 512
    fc7_share = 1.0

    @property
    def channels(self) -> int:
        return round(512 * self.width)

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self._in_strips(x, size) if self.tpu else self._whole(x, size)

    def _whole(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
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

    def _in_strips(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        height = x.shape[1] // 2 ** (len(BLOCKS) - 1)
        maps = strips.zero_outside(strips.cut(x.astype(self.dtype), size, multiple=2 ** (len(BLOCKS) - 1)))
        for block, (channels, convolutions) in enumerate(BLOCKS, 1):
            if block > 1:
                maps = strips.max_pool_2x2(maps, rounding=self.pool_rounding)
            for i in range(1, convolutions + 1):
                conv = nn.Conv(
                    round(channels * self.width),
                    (3, 3),
                    padding=((0, 0), (1, 1)),
                    dtype=self.dtype,
                    kernel_init=self.kernel_init.first_layer if block == i == 1 else self.kernel_init.after_relu,
                    name=f"conv{block}_{i}",
                )
                x = nn.relu(conv(strips.with_neighbour_rows(maps)))
                maps = strips.zero_outside(dataclasses.replace(maps, x=x))
        return strips.join(maps, height), maps.size
