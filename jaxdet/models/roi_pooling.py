"""RoI pooling by name: step 7 of every detector over shared features."""

from collections.abc import Callable

import jax

from jaxdet.checks import one_of
from jaxdet.nets.region_net import RegionNet
from jaxdet.ops.roi_align import roi_align
from jaxdet.ops.roi_pool import roi_max_pool

ROI_POOLINGS = ("max_pool", "align")


def make_roi_pooling(net: RegionNet, name: str) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """Return the function (features [B,h,w,C], size i32[B,2], boxes f32[B,R,4]) -> [B,R,s,s,C], s = net.pool_size.

    Args:
      net: gives the output size and the stride.
      name: 'max_pool' (Fast R-CNN, 2.1) or 'align' (torchvision's RoIAlign, 2x2 samples, not aligned).

    Raises:
      InputError: another name.
    """
    one_of("head.roi_pooling", name, ROI_POOLINGS)
    shape = {"output_size": net.pool_size, "stride": net.stride}
    if name == "max_pool":
        return lambda features, size, boxes: jax.vmap(lambda f, b: roi_max_pool(f, b, **shape))(features, boxes)
    return lambda features, size, boxes: jax.vmap(lambda f, s, b: roi_align(f, b, feature_size=s, **shape))(
        features, size, boxes
    )
