"""Anchors: the reference boxes of the region proposal network (Faster R-CNN, 3.1.1), constants made with numpy."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def base_anchors(
    *, stride: int = 16, scales: Sequence[float] = (8, 16, 32), ratios: Sequence[float] = (0.5, 1, 2)
) -> np.ndarray:
    """The anchors of the first cell as py-faster-rcnn makes them, centred on the middle of the cell.

    The sides at scale 1 are rounded to whole pixels before scaling, so the areas of one scale differ slightly.

    Args:
      stride: side of a cell, and of the square at scale 1, in pixels.
      scales: sides of the square anchors in strides.
      ratios: height / width.

    Returns:
      np f32[A,4] with A = len(ratios) * len(scales), ratio by ratio.
    """
    width = np.round(np.sqrt(stride * stride / np.asarray(ratios, np.float64)))
    height = np.round(width * ratios)
    return _boxes_around(stride / 2, np.outer(width, scales), np.outer(height, scales))


def centred_anchors(*, sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """The anchors of the first cell as torchvision makes them: rounded and centred on the cell's top left corner.

    Args:
      sizes: square roots of the areas in pixels.
      ratios: height / width.

    Returns:
      np f32[A,4] with A = len(ratios) * len(sizes), ratio by ratio.
    """
    root = np.sqrt(np.asarray(ratios, np.float32))
    # float32 throughout: a half pixel must round the way it does there
    return np.round(_boxes_around(0, np.outer(1 / root, sizes).astype(np.float32), np.outer(root, sizes)))


def _boxes_around(centre: float, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    corners = [centre - width / 2, centre - height / 2, centre + width / 2, centre + height / 2]
    return np.stack(corners, axis=-1).reshape(-1, 4).astype(np.float32)


def grid_anchors(base: np.ndarray, feature_size: tuple[int, int], *, stride: int) -> np.ndarray:
    """Repeats the anchors of the first cell over a feature map.

    Args:
      base: np f32[A,4] pixels.
      feature_size: (rows h, columns w) of the feature map.
      stride: pixels between cells.

    Returns:
      np f32[h*w*A,4] in the order (row, column, anchor): that of the RPN's outputs [h,w,A] flattened.
    """
    rows, columns = feature_size
    y, x = np.meshgrid(np.arange(rows) * stride, np.arange(columns) * stride, indexing="ij")
    shifts = np.stack([x, y, x, y], axis=-1).astype(np.float32)  # [h,w,4]
    return (shifts[:, :, None, :] + base.astype(np.float32)).reshape(-1, 4)


def anchor_valid(feature_size: tuple[int, int], valid_size: jax.Array, num_anchors: int) -> jax.Array:
    """Marks the anchors whose cell lies in the image's own feature map; the others belong to the bucket's padding.

    Args:
      feature_size: static (rows h, columns w) of the bucket's feature map.
      valid_size: f32[2] or i32[2] (rows, columns) of the image's own feature map.
      num_anchors: anchors a cell, A.

    Returns:
      bool[h*w*A] in the order of `grid_anchors`.
    """
    rows, columns = feature_size
    row_valid = jnp.arange(rows, dtype=valid_size.dtype) < valid_size[0]
    column_valid = jnp.arange(columns, dtype=valid_size.dtype) < valid_size[1]
    cells = row_valid[:, None] & column_valid[None, :]
    return jnp.repeat(cells.reshape(-1), num_anchors)
