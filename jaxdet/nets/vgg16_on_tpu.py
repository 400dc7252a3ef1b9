"""VGG16's convolutions in the form that is fast on a TPU: in strips, equal layers in a loop.

The compiler searches long for the tiles of each convolution, and in a loop only once. A step compiles in 67 to 85 % of
the time and takes 4 to 14 % more cycles (benchmarks/README.md, TPU).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.nets.layers import strips
from jaxdet.nets.layers.strips import Strips
from jaxdet.nets.vgg16 import BLOCKS
from jaxdet.types import Params

Layer = dict[str, jax.Array]  # kernel [3,3,C,D] and bias [D]


def features(
    params: Params, x: jax.Array, size: jax.Array, *, pool_rounding: str, dtype: Any
) -> tuple[jax.Array, jax.Array]:
    """Return what VGG16 returns; params are those of its layers."""
    scale = 2 ** (len(BLOCKS) - 1)
    maps = strips.zero_outside(strips.cut(x.astype(dtype), size, multiple=scale))
    for block, (_, convolutions) in enumerate(BLOCKS, 1):
        if block > 1:
            maps = strips.max_pool_2x2(maps, rounding=pool_rounding)
        layers = [
            {name: array.astype(dtype) for name, array in params[f"conv{block}_{i}"].items()}
            for i in range(1, convolutions + 1)
        ]
        for _, equal in itertools.groupby(layers, lambda layer: layer["kernel"].shape):
            maps = _in_turn(maps, list(equal))
    return strips.join(maps, x.shape[1] // scale), maps.size


def _in_turn(maps: Strips, layers: Sequence[Layer]) -> Strips:
    """Apply layers of equal shape one after the other."""
    if len(layers) == 1:
        return _conv_relu(maps, layers[0])
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *layers)
    x, _ = lax.scan(lambda x, layer: (_conv_relu(dataclasses.replace(maps, x=x), layer).x, None), maps.x, stacked)
    return dataclasses.replace(maps, x=x)


def _conv_relu(maps: Strips, layer: Layer) -> Strips:
    maps = strips.conv_3x3(maps, layer["kernel"])
    return strips.relu_inside(dataclasses.replace(maps, x=maps.x + jnp.expand_dims(layer["bias"], (0, 1, 2))))
