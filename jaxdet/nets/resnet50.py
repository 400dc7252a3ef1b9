"""ResNet-50 (He et al. 2016) with frozen batch norms, as torchvision has it: strides are in the 3x3 convolutions."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer, constant, he_normal

from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.layers.pooling import max_pool_3x3, zero_outside
from jaxdet.nets.sizes import RESNET50_EXPANSION, RESNET50_STAGES

FROZEN_NORM = "frozen_norm_"  # start of the names of parameters that are never trained

Sized = tuple[jax.Array, jax.Array]  # (features [B,h,w,C], i32[B,2] size of each image in them)


class FrozenNorm(nn.Module):
    """Batch norm with fixed statistics: x * scale + bias per channel.

    scale = weight / sqrt(running_var + eps) and bias = norm's bias - running_mean * scale are computed where a file is
    read, for each file has its own eps.
    """

    scale_init: Initializer
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        scale, bias = (leaf.reshape(1, 1, 1, -1).astype(self.dtype) for leaf in (scale, bias))
        return x * scale + bias


class ResNet50(nn.Module):
    """Image f32[B,H,W,3] and size i32[B,2] -> the outputs of the four stages, of strides 4, 8, 16 and 32, finest first.

    `width` multiplies every channel count (1.0 is the paper's). Sides are rounded up at every stride. All cells outside
    an image are zero where a layer with a larger kernel than 1x1 reads them, so each image is as if it were alone.
    """

    width: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, size: jax.Array) -> list[Sized]:
        x = zero_outside(x, size).astype(self.dtype)
        x = nn.relu(self._conv_norm(x, 64, kernel=7, stride=2, name="conv1"))
        size = (size + 1) // 2
        x, size = max_pool_3x3(zero_outside(x, size), size, padding=1, rounding="floor")
        outputs = []
        for stage, (channels, blocks) in enumerate(RESNET50_STAGES, 1):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                x, size = self._bottleneck(x, size, channels, stride=stride, name=f"layer{stage}_{block}")
            outputs.append((x, size))
        return outputs

    def _bottleneck(self, x: jax.Array, size: jax.Array, channels: int, *, stride: int, name: str) -> Sized:
        """Add a residual block: 1x1, 3x3 and 1x1 convolutions beside the identity or, in a stage's first, a 1x1 one."""
        wide, shortcut = RESNET50_EXPANSION * channels, x
        if name.endswith("_0"):
            shortcut = self._conv_norm(x, wide, kernel=1, stride=stride, name=f"{name}_downsample")
        x = zero_outside(nn.relu(self._conv_norm(x, channels, kernel=1, name=f"{name}_conv1")), size)
        x = nn.relu(self._conv_norm(x, channels, kernel=3, stride=stride, name=f"{name}_conv2"))
        # A small scale in place of the statistics of random weights: otherwise every block would double the variance.
        x = self._conv_norm(x, wide, kernel=1, name=f"{name}_conv3", scale_init=constant(0.2))
        size = (size + stride - 1) // stride
        return zero_outside(nn.relu(x + shortcut), size), size

    def _conv_norm(
        self,
        x: jax.Array,
        channels: int,
        *,
        kernel: int,
        name: str,
        stride: int = 1,
        scale_init: Initializer = nn.initializers.ones,
    ) -> jax.Array:
        """Add a convolution without bias and its frozen norm; cells outside an image are no longer zero after it."""
        x = nn.Conv(
            round(channels * self.width),
            (kernel, kernel),
            strides=(stride, stride),
            padding=((kernel // 2, kernel // 2), (kernel // 2, kernel // 2)),
            use_bias=False,
            dtype=self.dtype,
            kernel_init=he_normal(),
            conv_general_dilated=conv_general_dilated,
            name=name,
        )(x)
        return FrozenNorm(scale_init, self.dtype, name=f"{FROZEN_NORM}{name}")(x)
