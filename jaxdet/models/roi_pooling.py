"""RoI pooling by name: step 7 of every detector over shared features."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxdet.checks import one_of
from jaxdet.nets.fpn_net import POOL_SIZE, STRIDES, FpnNet, Levels
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops.roi_align import roi_align, roi_align_by_level
from jaxdet.ops.roi_pool import roi_max_pool

ROI_POOLINGS = ("max_pool", "align")


def make_roi_pooling(net: RegionNet | FpnNet, name: str) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """Return the function (the net's features, their size, boxes f32[B,R,4]) -> [B,R,s,s,C].

    Args:
      net: gives the output size s and the strides.
      name: 'max_pool' (Fast R-CNN, 2.1) or 'align' (torchvision's RoIAlign, 2x2 samples, not aligned). Over a feature
        pyramid always 'align', on the level that suits the box.

    Raises:
      InputError: another name.
    """
    if isinstance(net, FpnNet):
        one_of("head.roi_pooling over a feature pyramid", name, ("align",))
        return _align_by_level
    one_of("head.roi_pooling", name, ROI_POOLINGS)
    shape = {"output_size": net.pool_size, "stride": net.stride}
    if name == "max_pool":
        return lambda features, size, boxes: jax.vmap(lambda f, b: roi_max_pool(f, b, **shape))(features, boxes)
    return lambda features, size, boxes: jax.vmap(lambda f, s, b: roi_align(f, b, feature_size=s, **shape))(
        features, size, boxes
    )


def _align_by_level(features: Levels, sizes: Levels, boxes: jax.Array) -> jax.Array:
    """Pool from all levels but the last, which only the region proposal network sees."""
    align = functools.partial(roi_align_by_level, strides=STRIDES, output_size=POOL_SIZE)
    pooled = features[: len(STRIDES)], sizes[: len(STRIDES)]
    return jax.vmap(lambda f, s, b: align(f, b, feature_sizes=s))(*pooled, boxes)
