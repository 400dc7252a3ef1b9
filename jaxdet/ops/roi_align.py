"""RoIAlign: bilinear samples averaged over a fixed grid of bins (Mask R-CNN, 3)."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops import roi_align_tpu

SAMPLES = 2  # along each side of a bin

AxisSamples = tuple[jax.Array, jax.Array]  # (cells i32, weights f32), both [R,bins,2*SAMPLES]


def roi_align(
    features: jax.Array,
    boxes: jax.Array,
    *,
    feature_size: Sequence[int | jax.Array] | jax.Array | None = None,
    output_size: int = 7,
    stride: float = 16,
) -> jax.Array:
    """Average 2x2 bilinear samples in each bin of each box.

    Equals torchvision's roi_align(sampling_ratio=2, aligned=False), its detectors' form: coordinate x lies at cell
    x / stride, half a cell off from the cells' centres, and every box is at least one cell long.

    Args:
      features: float[h,w,C]; `stride` image pixels per cell.
      boxes: f32[R,4] in image pixels. No gradient flows to them.
      feature_size: (rows, columns) of the features that belong to the image, Python or traced integers; nothing beyond
        is ever read. None is the whole map.
      output_size: bins along each side.
      stride: image pixels per cell.

    Returns:
      [R,output_size,output_size,C] of the dtype of features; finite for a box of zeros (an invalid slot). A sample up
      to one cell outside the features has the border's value, one further out is 0.
    """
    cure = "pass one image's features; vmap over images"
    check_array("roi_align: features", features, shape=("h", "w", "C"), dtype=features.dtype, cure=cure)
    check_array("roi_align: boxes", boxes, shape=("R", 4), dtype=jnp.float32, cure="pass one image's boxes; vmap")
    rows, columns = features.shape[:2] if feature_size is None else feature_size
    boxes = lax.stop_gradient(boxes) / stride
    vertical = axis_samples(boxes[:, 1], boxes[:, 3], rows, output_size)
    horizontal = axis_samples(boxes[:, 0], boxes[:, 2], columns, output_size)
    return _average(features, vertical, horizontal)


def roi_align_by_level(
    features: Sequence[jax.Array],
    boxes: jax.Array,
    *,
    feature_sizes: Sequence[jax.Array],
    strides: Sequence[int],
    output_size: int = 7,
) -> jax.Array:
    """Return roi_align of each box on the level of a feature pyramid that suits its size (FPN, 4.2, eq. 1).

    A box of 224 x 224 pixels has the third level of strides 4, 8, 16 and 32, each box of half the side one level less.

    Args:
      features: float[h,w,C] per level, finest first.
      boxes: f32[R,4] in image pixels. No gradient flows to them.
      feature_sizes: i32[2] per level, see roi_align.
      strides: image pixels per cell of each level, each twice the one before.
      output_size: bins along each side.

    Returns:
      As roi_align.
    """
    cure = "pass one image's boxes; vmap over images"
    check_array("roi_align_by_level: boxes", boxes, shape=("R", 4), dtype=jnp.float32, cure=cure)
    boxes = lax.stop_gradient(boxes)

    # Choose the level of each box; 1e-6 as in torchvision keeps an exact power of two on its level.
    sides = boxes[:, 2:] - boxes[:, :2]
    area = jnp.maximum(sides[:, 0] * sides[:, 1], 0.0)
    finest = math.log2(strides[0])
    level = jnp.floor(4.0 + jnp.log2(jnp.sqrt(area) / 224.0) + 1e-6) - finest
    level = jnp.clip(level, 0, len(strides) - 1).astype(jnp.int32)

    # Sample all levels as one row of cells.
    widths = [x.shape[1] for x in features]
    starts = np.cumsum([0] + [x.shape[0] * x.shape[1] for x in features[:-1]])
    size = jnp.stack(feature_sizes)[level]  # [R,2]
    boxes = boxes / jnp.asarray(strides, jnp.float32)[level][:, None]
    vertical = axis_samples(boxes[:, 1], boxes[:, 3], size[:, :1], output_size)
    horizontal = axis_samples(boxes[:, 0], boxes[:, 2], size[:, 1:], output_size)
    per_box = [jnp.asarray(numbers, jnp.int32)[level][:, None, None] for numbers in (widths, starts)]
    cells = jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in features])
    return _weighted_cells(cells, _starts(vertical, *per_box), horizontal)


def _starts(vertical: AxisSamples, width: int | jax.Array, start: int | jax.Array) -> AxisSamples:
    """Return the rows' samples with the index of each row's first cell in place of the row."""
    row, weights = vertical
    return row * width + start, weights


def axis_samples(start: jax.Array, end: jax.Array, size: int | jax.Array, bins: int) -> AxisSamples:
    """Return the cells and weights whose weighted sum is a bin's mean along one axis, for boxes from start to end.

    `size` is one number of cells for all boxes, or i32[R,1].
    """
    # Where the samples lie, in cells.
    length = jnp.maximum(end - start, 1.0)
    step = (jnp.arange(bins * SAMPLES, dtype=jnp.float32) + 0.5) / (bins * SAMPLES)
    at = start[:, None] + step[None] * length[:, None]

    # Clamp to the image.
    last = jnp.asarray(size, jnp.int32) - 1
    inside = (at >= -1.0) & (at <= (last + 1).astype(jnp.float32))
    at = jnp.clip(at, 0.0, last.astype(jnp.float32))

    # Interpolate between two cells.
    low = at.astype(jnp.int32)
    share = at - low.astype(jnp.float32)
    cells = jnp.stack([low, jnp.minimum(low + 1, last)], axis=-1)
    weights = jnp.where(inside[..., None], jnp.stack([1.0 - share, share], axis=-1), 0.0) / SAMPLES
    shape = (-1, bins, 2 * SAMPLES)
    return cells.reshape(shape), weights.reshape(shape)


@jax.custom_vjp
def _weighted_cells(cells: jax.Array, vertical: AxisSamples, horizontal: AxisSamples) -> jax.Array:
    """Return [R,bins,bins,C]: per bin, the sum over its rows and columns of cell * row weight * column weight.

    `cells` are [N,C]; a row is given by the index of its first cell.
    """

    def pool_box(box):
        (row, row_weight), (column, column_weight) = box
        total = jnp.zeros((len(row), len(column), cells.shape[1]), jnp.float32)
        # One fused sum over gathers: 7 times faster on CPU than gathering all cells and reducing.
        for i in range(row.shape[1]):
            for j in range(column.shape[1]):
                sampled = cells[row[:, i, None] + column[None, :, j]].astype(jnp.float32)
                total += sampled * (row_weight[:, i, None] * column_weight[None, :, j])[..., None]
        return total.astype(cells.dtype)

    return lax.map(pool_box, (vertical, horizontal))


def _forward(cells, vertical, horizontal):
    like = jnp.zeros((len(cells), 0), cells.dtype)  # the length and dtype, without storing the cells
    return _weighted_cells(cells, vertical, horizontal), (like, vertical, horizontal)


def _backward(residuals, g):
    like, vertical, horizontal = residuals
    return _scatter(g, vertical, horizontal, length=len(like)).astype(like.dtype), None, None


def _scatter(g: jax.Array, vertical: AxisSamples, horizontal: AxisSamples, *, length: int) -> jax.Array:
    """Return the gradient f32[length,C] of the cells of `_weighted_cells`."""

    def add_box(gradient, box):
        (row, row_weight), (column, column_weight), g = box
        cells = row[:, None, :, None] + column[None, :, None, :]
        weights = row_weight[:, None, :, None] * column_weight[None, :, None, :]
        return gradient.at[cells].add(g[:, :, None, None].astype(jnp.float32) * weights[..., None]), None

    gradient = jnp.zeros((length, g.shape[-1]), jnp.float32)
    return lax.scan(add_box, gradient, (vertical, horizontal, g))[0]


_weighted_cells.defvjp(_forward, _backward)


# One map: the choice by platform. custom_vjp is outermost, for jax fails to differentiate a choice between custom_vjps
# under vmap.


@jax.custom_vjp
def _average(features: jax.Array, vertical: AxisSamples, horizontal: AxisSamples) -> jax.Array:
    """Return `_weighted_cells` of one map [h,w,C], a row given by its number."""
    return lax.platform_dependent(
        features, vertical, horizontal, tpu=roi_align_tpu.matrix_product, default=average_by_index
    )


def average_by_index(features: jax.Array, vertical: AxisSamples, horizontal: AxisSamples) -> jax.Array:
    """Return [R,bins,bins,C], the weighted sums of cells of features [h,w,C] that are looked up."""
    width, channels = features.shape[1:]
    return _weighted_cells(features.reshape(-1, channels), _starts(vertical, width, 0), horizontal)


def gradient_by_index(
    g: jax.Array, vertical: AxisSamples, horizontal: AxisSamples, *, size: tuple[int, int]
) -> jax.Array:
    """Return the gradient f32[h,w,C] of the features of `average_by_index`; `size` is (h, w)."""
    height, width = size
    cells = _scatter(g, _starts(vertical, width, 0), horizontal, length=height * width)
    return cells.reshape(height, width, -1)


def _average_forward(features, vertical, horizontal):
    like = jnp.zeros((*features.shape[:2], 0), features.dtype)
    return _average(features, vertical, horizontal), (like, vertical, horizontal)


def _average_backward(residuals, g):
    like, vertical, horizontal = residuals
    size = like.shape[:2]
    total = lax.platform_dependent(
        g,
        vertical,
        horizontal,
        tpu=functools.partial(roi_align_tpu.matrix_product_gradient, size=size),
        default=functools.partial(gradient_by_index, size=size),
    )
    return total.astype(like.dtype), None, None


_average.defvjp(_average_forward, _average_backward)
