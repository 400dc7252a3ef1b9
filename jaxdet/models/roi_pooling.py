"""Step 7 of every detector over shared features: what the head sees of a RoI."""

from collections.abc import Callable

import jax

from jaxdet.checks import InputError, nearest
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops.roi_align import roi_align
from jaxdet.ops.roi_pool import roi_max_pool

POOLINGS = ("max_pool", "align")


def roi_pooling_of(net: RegionNet, kind: str) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """The function (features [B,h,w,C], size i32[B,2], boxes f32[B,R,4]) -> [B,R,s,s,C], s the net's pool_size.

    Args:
      kind: 'max_pool' (Fast R-CNN, 2.1) or 'align' (torchvision's RoIAlign, 2x2 samples, not aligned).

    Raises:
      InputError: there is no such kind.
    """
    if kind not in POOLINGS:
        raise InputError(f"roi_pooling: no {kind!r}; {nearest(kind, POOLINGS)}")
    shape = {"output_size": net.pool_size, "stride": net.stride}
    if kind == "max_pool":
        return lambda features, size, boxes: jax.vmap(lambda f, b: roi_max_pool(f, b, **shape))(features, boxes)
    return lambda features, size, boxes: jax.vmap(
        lambda f, s, b: roi_align(f, b, feature_size=s, aligned=False, **shape)
    )(features, size, boxes)
