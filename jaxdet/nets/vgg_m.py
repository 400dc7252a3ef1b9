"""VGG_CNN_M_1024's five convolutions (Chatfield et al. 2014), the net "M" of Fast R-CNN: LRN before pooling."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers.conv_relu import conv_relu
from jaxdet.nets.layers.initializers import KernelInit
from jaxdet.nets.layers.lrn import lrn_across_channels
from jaxdet.nets.layers.pooling import max_pool_3x3, zero_outside


class VggM(nn.Module):
    """Image f32[B,H,W,3] and size i32[B,2] -> conv5 [B,h,w,512*width] and its size: stride 16, 600x1000 -> 36x61.

    `width` multiplies every channel count (1.0 is the paper's). conv1 and the poolings have no zeros around them.
    """

    kernel_init: KernelInit
    width: float = 1.0
    pool_rounding: str = "ceil"
    dtype: Any = jnp.float32

    pool_size = 6
    rpn_features = 256
    fc7_share = 0.25  # 1,024 units after fc6's 4,096

    @property
    def channels(self) -> int:
        return round(512 * self.width)

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
        def conv(x, size, channels, kernel, *, kernel_init=self.kernel_init.after_relu, **options):
            options |= {"kernel": kernel, "dtype": self.dtype, "kernel_init": kernel_init}
            return conv_relu(x, size, round(channels * self.width), **options)

        def lrn_pool(x, size):
            x = lrn_across_channels(x, size=5, alpha=5e-4, k=2.0)
            return max_pool_3x3(x, size, padding=0, rounding=self.pool_rounding)

        x = zero_outside(x, size).astype(self.dtype)
        x, size = conv(x, size, 96, 7, stride=2, padding=0, kernel_init=self.kernel_init.first_layer, name="conv1")
        x, size = lrn_pool(x, size)
        x, size = conv(x, size, 256, 5, stride=2, padding=1, name="conv2")
        x, size = lrn_pool(x, size)
        x, size = conv(x, size, 512, 3, name="conv3")
        x, size = conv(x, size, 512, 3, name="conv4")
        return conv(x, size, 512, 3, name="conv5")
