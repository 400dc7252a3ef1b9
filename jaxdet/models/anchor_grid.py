"""The anchors of a batch over one feature map or over the levels of a pyramid: step 3 of the detectors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.nets.fpn_net import STRIDES, FpnNet, Levels
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops.anchors import anchor_valid, grid_anchors


@dataclasses.dataclass(frozen=True)
class AnchorGrid:
    """The anchors of every image of a batch, in the order of the region proposal network's outputs."""

    anchors: jax.Array  # f32[B,N,4]
    valid: jax.Array  # bool[B,N] anchors whose cell lies on the image
    locations: jax.Array  # i32[B] cells that lie on the image
    level_sizes: tuple[int, ...]  # anchors of each level; they add up to N


def make_anchor_grid(net: RegionNet | FpnNet, base_anchors: np.ndarray) -> Callable[[Any, Any], AnchorGrid]:
    """Return the function from the net's features and their sizes to the anchors.

    Args:
      base_anchors: anchors of the cell at the origin, f32[A,4], for a pyramid f32[L,A,4].
    """
    if isinstance(net, FpnNet):
        return lambda features, sizes: _pyramid_anchors(base_anchors, features, sizes)

    def one_level(features: jax.Array, size: jax.Array) -> AnchorGrid:
        batch, rows, columns = features.shape[:3]
        anchors = jnp.asarray(grid_anchors(base_anchors, (rows, columns), stride=net.stride))
        valid = _valid((rows, columns), size, len(base_anchors))
        shape = (batch, *anchors.shape)
        return AnchorGrid(jnp.broadcast_to(anchors[None], shape), valid, size[:, 0] * size[:, 1], (len(anchors),))

    return one_level


def _pyramid_anchors(base_anchors: np.ndarray, features: Levels, sizes: Levels) -> AnchorGrid:
    """Return the anchors of all levels, finest first.

    As in torchvision a level's stride is the image's side, padded to a multiple of 32, over the level's cells, rounded
    down. The last level has half of P5's cells, rounded up: where P5 has an odd number of rows its stride is below 64
    (61 of 800 pixels), so the anchors depend on the image.
    """
    padded = STRIDES[-1] * sizes[len(STRIDES) - 1]  # i32[B,2]
    strides = [jnp.full_like(padded, stride) for stride in STRIDES] + [padded // sizes[-1]]
    anchors, valid, locations = [], [], []
    for base, x, size, stride in zip(base_anchors, features, sizes, strides, strict=True):
        rows, columns = x.shape[1:3]
        y = (jnp.arange(rows)[None, :] * stride[:, :1]).astype(jnp.float32)  # [B,h]
        x = (jnp.arange(columns)[None, :] * stride[:, 1:]).astype(jnp.float32)  # [B,w]
        y, x = jnp.broadcast_arrays(y[:, :, None], x[:, None, :])  # [B,h,w]
        shifts = jnp.stack([x, y, x, y], axis=-1)
        level = shifts[:, :, :, None, :] + base.reshape(1, 1, 1, -1, 4)
        anchors.append(level.reshape(len(size), -1, 4))
        valid.append(_valid((rows, columns), size, len(base)))
        locations.append(size[:, 0] * size[:, 1])
    return AnchorGrid(
        anchors=jnp.concatenate(anchors, axis=1),
        valid=jnp.concatenate(valid, axis=1),
        locations=sum(locations[1:], start=locations[0]),
        level_sizes=tuple(level.shape[1] for level in anchors),
    )


def _valid(shape: tuple[int, int], sizes: jax.Array, num_anchors: int) -> jax.Array:
    return jax.vmap(lambda size: anchor_valid(shape, size, num_anchors=num_anchors))(sizes)
