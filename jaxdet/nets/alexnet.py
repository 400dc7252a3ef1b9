"""AlexNet's five convolutions (Krizhevsky et al. 2012) in the order of Caffe's CaffeNet: pooling before LRN."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers.conv_relu import conv_relu
from jaxdet.nets.layers.initializers import KernelInit
from jaxdet.nets.layers.lrn import lrn_across_channels
from jaxdet.nets.layers.pooling import max_pool_3x3, zero_outside


class AlexNet(nn.Module):
    """Image f32[B,H,W,3] and size i32[B,2] -> conv5 [B,h,w,256*width] and its size: stride 16, 600x1000 -> 39x64.

    `width` multiplies every channel count (1.0 is the paper's). `padded` is Fast R-CNN's form, with zeros around conv1
    and the poolings; False is the classifier's form, which makes 13x13 cells of R-CNN's 227x227 pixels.
    """

    kernel_init: KernelInit
    width: float = 1.0
    pool_rounding: str = "ceil"
    dtype: Any = jnp.float32
    padded: bool = True

    pool_size = 6
    rpn_features = 256
    fc7_share = 1.0

    @property
    def channels(self) -> int:
        return self._features(256)

    def _features(self, channels: int) -> int:
        return 2 * round(channels * self.width / 2)  # for two groups

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        def conv(x, size, channels, kernel, *, kernel_init=self.kernel_init.after_relu, **options):
            options |= {"kernel": kernel, "dtype": self.dtype, "kernel_init": kernel_init}
            return conv_relu(x, size, self._features(channels), **options)

        def pool_lrn(x, size):
            x, size = max_pool_3x3(x, size, padding=int(self.padded), rounding=self.pool_rounding)
            return lrn_across_channels(x, size=5, alpha=1e-4), size

        x = zero_outside(x, size).astype(self.dtype)
        conv1 = {"stride": 4, "padding": 5 * self.padded, "kernel_init": self.kernel_init.first_layer}
        x, size = conv(x, size, 96, 11, **conv1, name="conv1")
        x, size = pool_lrn(x, size)
        x, size = conv(x, size, 256, 5, groups=2, name="conv2")
        x, size = pool_lrn(x, size)
        x, size = conv(x, size, 384, 3, name="conv3")
        x, size = conv(x, size, 384, 3, groups=2, name="conv4")
        return conv(x, size, 256, 3, groups=2, name="conv5")
