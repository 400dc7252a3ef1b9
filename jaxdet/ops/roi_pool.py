"""RoI max pooling with the exact bins of Caffe and torchvision, and a gradient that goes to the maxima.

Tables hold the maxima over all windows of 1, 4, 13, ... cells along each axis, computed once per image. Three
overlapping windows of one length cover any bin along an axis, so the maximum of a bin of any size is that of nine table
entries. Under differentiation a second table holds the cell of each maximum, and the gradient is scattered to it. A
TPU, which looks up and scatters slowly, runs the kernels of roi_pool_tpu instead.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops import roi_pool_tpu
from jaxdet.ops.by_platform import by_platform
from jaxdet.ops.take_rows import take_rows

Interval = tuple[jax.Array, jax.Array]  # (start, end exclusive) in cells, both i32[R,bins]
Cells = tuple[jax.Array, ...]  # (values [h,w,C],) or (values, index of each cell [h,w,C])


def roi_max_pool(features: jax.Array, boxes: jax.Array, *, output_size: int = 7, stride: float = 16) -> jax.Array:
    """Max-pool the features inside each box to a fixed grid (Fast R-CNN, 2.1).

    The corners are cells: `round(x / stride)` half away from zero, both ends included, so a box always holds a cell.
    Of equal maxima the first in row-major order receives the gradient. Exact for boxes up to seven cells longer than
    the map, so for all that were clipped to the image; a longer one is cut at its right and bottom.

    Args:
      features: float[h,w,C], finite; `stride` image pixels per cell.
      boxes: f32[R,4] in image pixels. No gradient flows to them.
      output_size: bins along each side.
      stride: image pixels per cell.

    Returns:
      [R,output_size,output_size,C] of the dtype of features. A bin outside the map is 0; a box of zeros (an invalid
      slot) pools the first cell.
    """
    cure = "pass one image's features; vmap over images"
    check_array("roi_max_pool: features", features, shape=("h", "w", "C"), dtype=features.dtype, cure=cure)
    check_array("roi_max_pool: boxes", boxes, shape=("R", 4), dtype=jnp.float32, cure="pass one image's boxes; vmap")
    height, width = features.shape[:2]

    # Round the corners to cells.
    far = 4.0 * max(height, width)  # keeps the integers finite; no bin out there touches the map
    corners = lax.round(jnp.clip(boxes / stride, -far, far), lax.RoundingMethod.AWAY_FROM_ZERO).astype(jnp.int32)

    # Cut each box into bins, and pool.
    rows = cut_into_bins(corners[:, 1], corners[:, 3], height, output_size)
    columns = cut_into_bins(corners[:, 0], corners[:, 2], width, output_size)
    return _pool(features, rows, columns)


# Bins.


def _window_lengths(size: int, bins: int) -> list[int]:
    """Return the window lengths 1, 4, 13, ... needed along an axis of `size` cells, for boxes up to 7 cells longer."""
    lengths = [1]
    while _longest_box(lengths, bins) < size + 7:
        lengths.append(3 * lengths[-1] + 1)
    return lengths


def _longest_box(window_lengths: Sequence[int], bins: int) -> int:
    """Return the longest box whose bins, of up to box length / bins + 1 cells, three windows cover."""
    return bins * (3 * window_lengths[-1] - 1)


def cut_into_bins(first: jax.Array, last: jax.Array, size: int, bins: int) -> Interval:
    """Return the bins, cut to the map, of boxes that reach from cell `first` to cell `last`, both i32[R]."""
    # Caffe and torchvision cut boxes in float32. A compiler may round otherwise, so the edges of the bins are computed
    # here with numpy, for every box length.
    lengths = np.arange(1, _longest_box(_window_lengths(size, bins), bins) + 1, dtype=np.float32)[:, None]
    edges = np.arange(bins + 1, dtype=np.float32) * (lengths / np.float32(bins))

    # Look up the edges of each box, and move them to its first cell.
    length = jnp.clip(last - first, 0, len(lengths) - 1)
    start = take_rows(jnp.asarray(np.floor(edges[:, :-1]).astype(np.int32)), length) + first[:, None]
    end = take_rows(jnp.asarray(np.ceil(edges[:, 1:]).astype(np.int32)), length) + first[:, None]
    return jnp.clip(start, 0, size), jnp.clip(end, 0, size)


def _cover(start: jax.Array, end: jax.Array, window_lengths: Sequence[int]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Return the place of each bin's window length in the list, i32[R,bins], and the first cells of its three windows,
    each i32[R,bins].
    """
    level = sum(((end - start >= length).astype(jnp.int32) for length in window_lengths[1:]), jnp.zeros_like(start))
    length = jnp.asarray(np.array(window_lengths, np.int32))[level]
    last = jnp.maximum(end - length, 0)  # an empty bin reads some cell; its result is discarded
    return level, (jnp.minimum(start, last), jnp.minimum(start + length, last), last)


def _lookups(size: tuple[int, int], rows: Interval, columns: Interval) -> tuple[jax.Array, jax.Array]:
    """Return the nine table entries i32[R,9,bins,bins] of each bin, and a mask bool[R,bins,bins,1] of empty bins."""
    height, width = size
    bins = rows[0].shape[1]
    row_lengths, column_lengths = _window_lengths(height, bins), _window_lengths(width, bins)
    row_level, tops = _cover(*rows, row_lengths)
    column_level, lefts = _cover(*columns, column_lengths)
    table = (row_level[:, :, None] * len(column_lengths) + column_level[:, None, :]) * (height * width)
    entries = [table + top[:, :, None] * width + left[:, None, :] for top in tops for left in lefts]
    empty = (rows[1] <= rows[0])[:, :, None] | (columns[1] <= columns[0])[:, None, :]
    return jnp.stack(entries, axis=1), empty[..., None]


# Tables.


def _shift(x: jax.Array, axis: int, by: int, fill: float) -> jax.Array:
    """Return x moved towards index 0 along an axis, filled up with `fill`."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (-by, by, 0)
    return lax.pad(x, jnp.asarray(fill, x.dtype), padding)


def _grow(
    windows: Cells,
    axis: int,
    lengths: Sequence[int],
    larger: Callable[[Cells, Cells], Cells],
    fills: Sequence[float],
) -> Cells:
    """Stack the windows of all lengths along a new first axis; each is joined from four of the length before."""
    levels = [windows]
    for length in lengths[:-1]:
        grown = levels[-1]
        for by in (length, 2 * length, 2 * length + 1):
            moved = tuple(_shift(x, axis, by, fill) for x, fill in zip(levels[-1], fills, strict=True))
            grown = larger(grown, moved)
        levels.append(grown)
    return tuple(jnp.stack(x) for x in zip(*levels, strict=True))


def _tables(cells: Cells, bins: int, larger: Callable[[Cells, Cells], Cells], fills: Sequence[float]) -> Cells:
    """Return flat tables [row level * column level * h * w, C] of the best cell in each window."""
    height, width, channels = cells[0].shape
    # Columns first: when rows are joined, the upper of two equal maxima is then the first in row-major order.
    cells = _grow(cells, 1, _window_lengths(width, bins), larger, fills)
    cells = _grow(cells, 1, _window_lengths(height, bins), larger, fills)
    return tuple(x.reshape(-1, channels) for x in cells)


def _larger_value(a: Cells, b: Cells) -> Cells:
    return (jnp.maximum(a[0], b[0]),)


def _first_larger(a: Cells, b: Cells) -> Cells:
    """Return the larger (value, index) pair; a, which lies before b, wins ties."""
    return jnp.where(b[0] > a[0], b[0], a[0]), jnp.where(b[0] > a[0], b[1], a[1])


# Pooling and its gradient.


def maxima(features: jax.Array, rows: Interval, columns: Interval) -> jax.Array:
    """Return the maxima [R,bins,bins,C] without their places, which only the gradient needs."""
    height, width, _ = features.shape
    entries, empty = _lookups((height, width), rows, columns)
    (values,) = _tables((features.astype(jnp.float32),), rows[0].shape[1], _larger_value, (-jnp.inf,))
    maxima = functools.reduce(jnp.maximum, [values[entries[:, i]] for i in range(9)])
    return jnp.where(empty, 0.0, maxima).astype(features.dtype)


def maxima_and_places(features: jax.Array, rows: Interval, columns: Interval) -> tuple[jax.Array, jax.Array]:
    """Return `maxima` and the first cell of each, u16 or i32[R,bins,bins,C]: row * w + column; h * w if empty."""
    height, width, channels = features.shape

    # Tables of the maxima and of their cells.
    nowhere = height * width
    index_dtype = _index_dtype(nowhere)
    index = lax.broadcasted_iota(index_dtype, (nowhere, channels), 0).reshape(features.shape)
    entries, empty = _lookups((height, width), rows, columns)
    cells = (features.astype(jnp.float32), index)
    values, indices = _tables(cells, rows[0].shape[1], _first_larger, (-jnp.inf, 0))

    def pool_box(box):
        entries, empty = box

        # The maximum of the nine entries.
        candidates = [values[entry] for entry in entries]
        maxima = functools.reduce(jnp.maximum, candidates)

        # The first cell that has it.
        outside = jnp.asarray(nowhere, index_dtype)
        at = [
            jnp.where(value == maxima, indices[entry], outside)
            for value, entry in zip(candidates, entries, strict=True)
        ]
        first = functools.reduce(jnp.minimum, at)
        return jnp.where(empty, 0.0, maxima).astype(features.dtype), jnp.where(empty, outside, first)

    return lax.map(pool_box, (entries, empty))


def _index_dtype(cells: int) -> jnp.dtype:
    return jnp.dtype(jnp.uint16 if cells < 2**16 else jnp.int32)  # half the memory of the table and of the residual


def gradient(places: jax.Array, g: jax.Array, *, size: tuple[int, int]) -> jax.Array:
    """Return f32[h,w,C] with each bin's g [R,bins,bins,C] added to its place; `size` is (h, w)."""
    height, width = size
    channels = g.shape[-1]

    # Scatter each bin's gradient to its maximum; that of an empty bin is outside the map and dropped.
    cells = places.reshape(-1, channels).astype(jnp.int32)
    total = jnp.zeros((height * width, channels), jnp.float32)
    total = total.at[cells, jnp.arange(channels)[None]].add(g.reshape(-1, channels).astype(jnp.float32), mode="drop")
    return total.reshape(height, width, channels)


# The choice. custom_vjp is outermost, for jax fails to differentiate a choice between custom_vjps under vmap.


@jax.custom_vjp
def _pool(features: jax.Array, rows: Interval, columns: Interval) -> jax.Array:
    return by_platform(features, rows, columns, tpu=roi_pool_tpu.maxima, default=maxima)


def _pool_forward(features, rows, columns):
    def with_kernel(features, rows, columns):
        output, places = roi_pool_tpu.maxima_and_places(features, rows, columns)
        return output, places.astype(_index_dtype(features.shape[0] * features.shape[1]))

    output, places = by_platform(features, rows, columns, tpu=with_kernel, default=maxima_and_places)
    like = jnp.zeros((*features.shape[:2], 0), features.dtype)  # the shape and dtype, without storing the features
    return output, (places, rows, like)


def _pool_backward(residuals, g):
    places, rows, like = residuals
    size = like.shape[:2]
    total = by_platform(
        places,
        g,
        rows,
        tpu=functools.partial(roi_pool_tpu.gradient, size=size),
        default=lambda places, g, rows: gradient(places, g, size=size),
    )
    return total.astype(like.dtype), None, None


_pool.defvjp(_pool_forward, _pool_backward)
