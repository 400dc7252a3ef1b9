"""Pure functions of one image with static shapes: `jax.jit` and `jax.vmap` apply to each.

Letters for shapes and the box convention stand in jaxdet.types.
"""

from jaxdet.ops.anchors import anchor_valid, base_anchors, grid_anchors
from jaxdet.ops.boxes import clip, decode, encode, inside, pairwise_iou
from jaxdet.ops.detect import detect
from jaxdet.ops.losses import roi_loss, rpn_loss, smooth_l1
from jaxdet.ops.matching import match
from jaxdet.ops.nms import nms
from jaxdet.ops.propose import propose
from jaxdet.ops.roi_align import roi_align
from jaxdet.ops.roi_pool import roi_max_pool
from jaxdet.ops.sampling import sample
from jaxdet.ops.targets import roi_targets, rpn_targets
from jaxdet.ops.warp import warp

__all__ = [
    "anchor_valid",
    "base_anchors",
    "clip",
    "decode",
    "detect",
    "encode",
    "grid_anchors",
    "inside",
    "match",
    "nms",
    "pairwise_iou",
    "propose",
    "roi_align",
    "roi_loss",
    "roi_max_pool",
    "roi_targets",
    "rpn_loss",
    "rpn_targets",
    "sample",
    "smooth_l1",
    "warp",
]
