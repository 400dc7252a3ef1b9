"""How well anchors fit objects: the best IoU of each object with an anchor at any place of the grid, in closed form."""

from typing import NamedTuple

import numpy as np

from jaxdet.config.detector_fields import Anchors, PyramidAnchors
from jaxdet.nets.fpn_net import STRIDES
from jaxdet.nets.region_net import STRIDE
from jaxdet.ops.anchors import base_anchors
from jaxdet.systems import pyramid_anchors


class Level(NamedTuple):
    """The anchors over one feature map; stride and cells are those of each object's image."""

    base: np.ndarray  # f32[A,4] of the first cell
    stride: np.ndarray  # f64[O,2] (vertical, horizontal) pixels between cells
    cells: np.ndarray  # f64[O,2] (rows, columns)


def grid_levels(anchors: Anchors | PyramidAnchors, image_sizes: np.ndarray) -> list[Level]:
    """Return the levels of a config's anchors over images of f64[O,2] (height, width) resized pixels."""
    if isinstance(anchors, Anchors):
        base = base_anchors(scales=anchors.scales, ratios=anchors.ratios, convention=anchors.convention, stride=STRIDE)
        return [_level(base, STRIDE, image_sizes)]
    bases = pyramid_anchors(anchors)
    levels = [_level(base, stride, image_sizes) for base, stride in zip(bases, STRIDES, strict=False)]
    # The last level has half of P5's cells, rounded up, over the sides padded to multiples of 32.
    cells = np.ceil(levels[-1].cells / 2)
    return [*levels, Level(bases[-1], STRIDES[-1] * levels[-1].cells // cells, cells)]


def best_anchor_iou(
    boxes: np.ndarray, image_sizes: np.ndarray, levels: list[Level], *, cross_boundary: bool
) -> np.ndarray:
    """Return the best IoU f64[O] of each object with any anchor at any cell of its image.

    The overlap of a box with an anchor of one shape is largest, along each axis by itself, at the cell that brings
    their centres closest. So no grid is laid out.

    Args:
      boxes: f[O,4] in resized pixels.
      image_sizes: f[O,2] (height, width) of each object's resized image.
      levels: see grid_levels.
      cross_boundary: False leaves out the anchors that cross the image's border.
    """
    best = np.zeros(len(boxes))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None]
    for base, stride, cells in levels:
        overlap = np.ones((len(boxes), len(base)))
        for axis in (0, 1):  # x, y
            overlap *= _overlap(
                boxes[:, axis::2],
                base[:, axis::2].astype(np.float64),
                stride=stride[:, 1 - axis, None],
                cells=cells[:, 1 - axis, None],
                side=None if cross_boundary else image_sizes[:, 1 - axis, None],
            )
        union = area + (base[:, 2:] - base[:, :2]).prod(1) - overlap
        best = np.maximum(best, (overlap / union).max(1, initial=0))
    return best


def _level(base: np.ndarray, stride: int, image_sizes: np.ndarray) -> Level:
    return Level(base, np.full(image_sizes.shape, float(stride)), np.ceil(image_sizes / stride))


def _overlap(
    spans: np.ndarray, anchors: np.ndarray, *, stride: np.ndarray, cells: np.ndarray, side: np.ndarray | None
) -> np.ndarray:
    """Return the largest overlap f64[O,A] along one axis.

    Args:
      spans: f[O,2] start and end of each object.
      anchors: f[A,2] of each anchor in the first cell.
      stride, cells: f[O,1].
      side: f[O,1] end of the image that anchors must lie in; None: they may cross its border.
    """
    first, last = np.zeros_like(cells), cells - 1
    if side is not None:
        first = np.maximum(first, np.ceil(-anchors[:, 0] / stride))
        last = np.minimum(last, np.floor((side - anchors[:, 1]) / stride))
    centred = np.round((spans.sum(1, keepdims=True) - anchors.sum(1)) / 2 / stride)
    shift = np.clip(centred, first, np.maximum(first, last)) * stride
    overlap = np.minimum(spans[:, 1:], anchors[:, 1] + shift) - np.maximum(spans[:, :1], anchors[:, 0] + shift)
    return np.where(first <= last, np.maximum(overlap, 0), 0)
