"""Feature pyramid (Lin et al. 2017, Feature Pyramid Networks, 3), as torchvision has it."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.layers.pooling import zero_outside
from jaxdet.nets.resnet50 import Sized


class FeaturePyramid(nn.Module):
    """Outputs of the backbone's stages, finest first -> P2 to P5 of `channels` each, and every second cell of P5.

    Each coarser map is doubled by repetition and added to the 1x1 convolution of the finer one. Cells outside an image
    are zero.
    """

    channels: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, stages: Sequence[Sized]) -> list[Sized]:
        coarser: jax.Array | None = None
        levels: list[Sized] = []
        for i in reversed(range(len(stages))):
            x, size = stages[i]
            inner = zero_outside(self._conv(x, kernel=1, name=f"fpn_inner_{i}"), size)
            if coarser is not None:
                doubled = jnp.repeat(jnp.repeat(coarser, 2, axis=1), 2, axis=2)[:, : x.shape[1], : x.shape[2]]
                inner = inner + zero_outside(doubled, size)
            levels.insert(0, (zero_outside(self._conv(inner, kernel=3, name=f"fpn_layer_{i}"), size), size))
            coarser = inner
        last, size = levels[-1]
        return [*levels, (last[:, ::2, ::2], (size + 1) // 2)]

    def _conv(self, x: jax.Array, *, kernel: int, name: str) -> jax.Array:
        padding = (kernel // 2, kernel // 2)
        return nn.Conv(
            self.channels,
            (kernel, kernel),
            padding=(padding, padding),
            dtype=self.dtype,
            conv_general_dilated=conv_general_dilated,
            name=name,
        )(x)
