"""RoI max pooling on a TPU: a kernel that walks the rows of each RoI, and one that adds its gradient to the maxima.

Gathers and scatters of single cells are the slowest a TPU can do. Here the features of one image stay in fast memory
while all RoIs are pooled, one per step. All channels are handled at once; no cell outside the RoI's rows is read.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

Interval = tuple[jax.Array, jax.Array]  # (start, end exclusive) in cells, both i32[R,bins]

_SUBLANES = 8  # columns are padded to a multiple of it


def maxima(features: jax.Array, rows: Interval, columns: Interval, *, interpret: bool = False) -> jax.Array:
    """Return the maxima [R,bins,bins,C] of features [h,w,C] in each bin, 0 in empty ones.

    Args:
      features: finite.
      rows: the bins along the height, cut to the map.
      columns: the bins along the width, cut to the map.
      interpret: run the kernel without a TPU, slowly.
    """
    return _run(_maxima, features, rows, columns, interpret=interpret)[0]


def maxima_and_places(
    features: jax.Array, rows: Interval, columns: Interval, *, interpret: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Return `maxima` and the first cell, row * w + column, of each, i32[R,bins,bins,C]; h * w for an empty bin."""
    output, places = _run(_maxima_and_places, features, rows, columns, interpret=interpret)
    return output, places


def gradient(
    places: jax.Array, g: jax.Array, rows: Interval, *, size: tuple[int, int], interpret: bool = False
) -> jax.Array:
    """Return f32[h,w,C] with each bin's g [R,bins,bins,C] added to its place; `size` is (h, w)."""
    num_rois, bins, _, channels = g.shape
    height, width = size
    padded = _padded(width)
    block = (1, bins, bins, channels)
    result = pl.pallas_call(
        functools.partial(_add_gradient, bins=bins, width=width),
        grid=(num_rois,),
        in_specs=[_scalars(2 * bins), _per_roi(block), _per_roi(block)],
        out_specs=pl.BlockSpec((height, padded, channels), lambda r: (0, 0, 0)),
        out_shape=jax.ShapeDtypeStruct((height, padded, channels), jnp.float32),
        compiler_params=_memory(height * padded * channels),
        interpret=interpret,
        name="roi_pool_gradient",
    )(_pack(rows), places.astype(jnp.int32), g)
    return result[:, :width]


def _run(kernel, features: jax.Array, rows: Interval, columns: Interval, *, interpret: bool) -> list[jax.Array]:
    height, width, channels = features.shape
    num_rois, bins = rows[0].shape
    padded = _padded(width)
    outputs = [jax.ShapeDtypeStruct((num_rois, bins, bins, channels), features.dtype)]
    features = jnp.pad(features.astype(jnp.float32), ((0, 0), (0, padded - width), (0, 0)))
    if kernel is _maxima_and_places:
        outputs.append(jax.ShapeDtypeStruct((num_rois, bins, bins, channels), jnp.int32))
    return pl.pallas_call(
        functools.partial(kernel, bins=bins, width=width),
        grid=(num_rois,),
        in_specs=[_scalars(4 * bins), pl.BlockSpec((height, padded, channels), lambda r: (0, 0, 0))],
        out_specs=[_per_roi((1, bins, bins, channels)) for _ in outputs],
        out_shape=outputs,
        compiler_params=_memory(height * padded * channels),
        interpret=interpret,
        name="roi_pool" + kernel.__name__,
    )(_pack(rows, columns), features)


def _padded(width: int) -> int:
    return -(-width // _SUBLANES) * _SUBLANES


def _pack(*intervals: Interval) -> jax.Array:
    """Return the starts and ends of all bins, i32[R,1,n]."""
    return jnp.concatenate([edge for interval in intervals for edge in interval], axis=1)[:, None]


def _scalars(count: int) -> pl.BlockSpec:
    return pl.BlockSpec((1, 1, count), lambda r: (r, 0, 0), memory_space=pltpu.SMEM)


def _per_roi(block: tuple[int, ...]) -> pl.BlockSpec:
    return pl.BlockSpec(block, lambda r: (r, 0, 0, 0))


def _memory(cells: int) -> pltpu.CompilerParams:
    """Allow for two copies of a map of float32, and 16 MiB besides."""
    return pltpu.CompilerParams(vmem_limit_bytes=2 * 4 * cells + 2**24)


def _maxima(edges, features, output, *, bins: int, width: int) -> None:
    """Pool one RoI."""
    columns = _columns(features)
    for i in range(bins):
        start, end = edges[0, 0, i], edges[0, 0, bins + i]

        def larger(y, best):
            return jnp.maximum(best, features[y])

        best = lax.fori_loop(start, end, larger, jnp.full(features.shape[1:], -jnp.inf, jnp.float32))
        pooled = []
        for j in range(bins):
            left, right = edges[0, 0, 2 * bins + j], edges[0, 0, 3 * bins + j]
            inside = (columns >= left) & (columns < right)
            maximum = jnp.max(jnp.where(inside, best, -jnp.inf), axis=0, keepdims=True)
            empty = (end <= start) | (right <= left)
            pooled.append(jnp.where(empty, 0.0, maximum))
        output[0, i] = jnp.concatenate(pooled).astype(output.dtype)


def _maxima_and_places(edges, features, output, places, *, bins: int, width: int) -> None:
    """Pool one RoI, and note the first cell in row-major order that has each maximum."""
    columns = _columns(features)
    nowhere = features.shape[0] * width
    for i in range(bins):
        start, end = edges[0, 0, i], edges[0, 0, bins + i]

        def larger(y, state):
            best, row = state
            value = features[y]
            better = value > best  # the upper of two equal ones stays
            return jnp.where(better, value, best), jnp.where(better, y, row)

        nothing = jnp.full(features.shape[1:], -jnp.inf, jnp.float32), jnp.zeros(features.shape[1:], jnp.int32)
        best, row = lax.fori_loop(start, end, larger, nothing)
        cell = row * width + columns
        pooled, first = [], []
        for j in range(bins):
            left, right = edges[0, 0, 2 * bins + j], edges[0, 0, 3 * bins + j]
            inside = (columns >= left) & (columns < right)
            maximum = jnp.max(jnp.where(inside, best, -jnp.inf), axis=0, keepdims=True)
            place = jnp.min(jnp.where(inside & (best == maximum), cell, nowhere), axis=0, keepdims=True)
            empty = (end <= start) | (right <= left)
            pooled.append(jnp.where(empty, 0.0, maximum))
            first.append(jnp.where(empty, nowhere, place))
        output[0, i] = jnp.concatenate(pooled).astype(output.dtype)
        places[0, i] = jnp.concatenate(first)


def _add_gradient(edges, places, g, gradient, *, bins: int, width: int) -> None:
    """Add the gradient of one RoI."""

    @pl.when(pl.program_id(0) == 0)
    def _():
        gradient[...] = jnp.zeros_like(gradient)

    columns = _columns(gradient)  # of those beyond the map the sums are discarded
    for i in range(bins):
        of_row = g[0, i].astype(jnp.float32)

        def add(y, _, i=i, of_row=of_row):
            total = gradient[y]
            cells = y * width + columns
            for j in range(bins):
                hit = places[0, i, pl.ds(j, 1)] == cells
                total += jnp.where(hit, of_row[j : j + 1], 0.0)
            gradient[y] = total
            return 0

        lax.fori_loop(edges[0, 0, i], edges[0, 0, bins + i], add, 0)


def _columns(features) -> jax.Array:
    """Return the column of each value of a row of the features, i32[w,C]."""
    return lax.broadcasted_iota(jnp.int32, features.shape[1:], 0)
