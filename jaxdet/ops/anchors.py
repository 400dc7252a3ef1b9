"""Anchors: the reference boxes of the region proposal network (Faster R-CNN, 3.1.1), constants computed with numpy."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.checks import above_zero, check_array, one_of

CONVENTIONS = ("caffe", "simple_faster_rcnn", "torchvision")


def base_anchors(
    *,
    stride: int = 16,
    scales: Sequence[float] = (8, 16, 32),
    ratios: Sequence[float] = (0.5, 1, 2),
    convention: str = "caffe",
) -> np.ndarray:
    """Return the anchors of the first cell.

    Args:
      stride: side of a cell, and of the square at scale 1, in pixels.
      scales: square roots of the areas in strides.
      ratios: height / width.
      convention: 'caffe' (py-faster-rcnn): centred on the middle of the cell; the sides at scale 1 are rounded to whole
        pixels before scaling, so the areas of one scale differ slightly. 'simple_faster_rcnn': the same without
        rounding. 'torchvision': centred on the cell's top left corner, corners rounded.

    Returns:
      np f32[A,4] with A = len(ratios) * len(scales), ratio by ratio.

    Raises:
      InputError: another convention; no scale or ratio, or one that is not above 0.
    """
    one_of("anchors.convention", convention, CONVENTIONS)
    above_zero("anchors.scales", scales, "(8.0, 16.0, 32.0)")
    above_zero("anchors.ratios", ratios, "(0.5, 1.0, 2.0)")
    if convention == "torchvision":
        # float32 throughout, as there, so that half pixels are rounded the same way.
        root = np.sqrt(np.asarray(ratios, np.float32))
        sizes = np.asarray(scales, np.float32) * np.float32(stride)
        return np.round(_boxes_around(0, np.outer(1 / root, sizes), np.outer(root, sizes)))
    rounded = np.round if convention == "caffe" else np.asarray
    width = rounded(np.sqrt(stride * stride / np.asarray(ratios, np.float64)))
    height = rounded(width * ratios)
    return _boxes_around(stride / 2, np.outer(width, scales), np.outer(height, scales))


def _boxes_around(centre: float, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    corners = [centre - width / 2, centre - height / 2, centre + width / 2, centre + height / 2]
    return np.stack(corners, axis=-1).reshape(-1, 4).astype(np.float32)


def grid_anchors(base: np.ndarray, feature_size: tuple[int, int], *, stride: int) -> np.ndarray:
    """Return the anchors of the first cell repeated over a feature map.

    Args:
      base: np f32[A,4] pixels.
      feature_size: (rows h, columns w) of the feature map.
      stride: pixels between cells.

    Returns:
      np f32[h*w*A,4] in the order (row, column, anchor), that of the RPN's outputs [h,w,A] flattened.
    """
    check_array("grid_anchors: base", base, shape=("A", 4), dtype=np.float32, cure="pass base_anchors(...)")
    rows, columns = feature_size
    y, x = np.meshgrid(np.arange(rows) * stride, np.arange(columns) * stride, indexing="ij")
    shifts = np.stack([x, y, x, y], axis=-1).astype(np.float32)  # [h,w,4]
    return (shifts[:, :, None, :] + base.astype(np.float32)).reshape(-1, 4)


def anchor_valid(feature_size: tuple[int, int], valid_size: jax.Array, num_anchors: int) -> jax.Array:
    """Return a mask of the anchors whose cell lies on the image; the others belong to the bucket's padding.

    Args:
      feature_size: static (rows h, columns w) of the bucket's feature map.
      valid_size: f32[2] or i32[2] (rows, columns) of the image's own feature map.
      num_anchors: anchors per cell, A.

    Returns:
      bool[h*w*A] in the order of `grid_anchors`.
    """
    dtype = valid_size.dtype
    check_array("anchor_valid: valid_size", valid_size, shape=(2,), dtype=dtype, cure="pass (rows, columns); vmap")
    rows, columns = feature_size
    row_valid = jnp.arange(rows, dtype=dtype) < valid_size[0]
    column_valid = jnp.arange(columns, dtype=dtype) < valid_size[1]
    cells = row_valid[:, None] & column_valid[None, :]
    return jnp.repeat(cells.reshape(-1), num_anchors)
