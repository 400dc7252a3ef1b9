"""ZF-Net's five convolutions (Zeiler & Fergus 2014) as in Faster R-CNN's code: LRN within each channel."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers.conv_relu import conv_relu
from jaxdet.nets.layers.initializers import KernelInit
from jaxdet.nets.layers.lrn import lrn_within_channel
from jaxdet.nets.layers.pooling import max_pool_3x3, zero_outside


class ZF(nn.Module):
    """Image f32[B,H,W,3] and size i32[B,2] -> conv5 [B,h,w,256*width] and its size: stride 16, 600x1000 -> 39x64.

    `width` multiplies every channel count (1.0 is the paper's).
    """

    kernel_init: KernelInit
    width: float = 1.0
    pool_rounding: str = "ceil"
    dtype: Any = jnp.float32

    pool_size = 6
    rpn_features = 256
    fc7_share = 1.0

    @property
    def channels(self) -> int:
        return round(256 * self.width)

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        def conv(x, size, channels, kernel, *, kernel_init=self.kernel_init.after_relu, **options):
            options |= {"kernel": kernel, "dtype": self.dtype, "kernel_init": kernel_init}
            return conv_relu(x, size, round(channels * self.width), **options)

        def lrn_pool(x, size):
            x = lrn_within_channel(x, size=3, alpha=5e-5)
            return max_pool_3x3(x, size, padding=1, rounding=self.pool_rounding)

        x = zero_outside(x, size).astype(self.dtype)
        x, size = conv(x, size, 96, 7, stride=2, kernel_init=self.kernel_init.first_layer, name="conv1")
        x, size = lrn_pool(x, size)
        x, size = conv(x, size, 256, 5, stride=2, name="conv2")
        x, size = lrn_pool(x, size)
        x, size = conv(x, size, 384, 3, name="conv3")
        x, size = conv(x, size, 384, 3, name="conv4")
        return conv(x, size, 256, 3, name="conv5")
