"""RoIAlign on a TPU as products of weights with all cells, for gathers and scatters of cells are slow there."""

import jax
import jax.numpy as jnp
from jax import lax

AxisSamples = tuple[jax.Array, jax.Array]  # (cells i32, weights f32), both [R,bins,n]

# A map of at most so many cells is one product, with the weight of each cell in each bin; 1008 x 1008 pixels at stride
# 16 have 3,969. The finest level of a pyramid has up to 20 times as many.
_ONE_PRODUCT = 4096
_BOXES = 16  # in one step of a loop; their 7 rows each are 112 of the 128 that a TPU multiplies at once


def average(
    features: tuple[jax.Array, ...], level: jax.Array, vertical: AxisSamples, horizontal: AxisSamples
) -> jax.Array:
    """Return [R,bins,bins,C]: per bin, the sum over its rows and columns of cell * row weight * column weight.

    Args:
      features: [h,w,C] per level.
      level: i32[R] the level of each box.
      vertical: rows of that level and their weights.
      horizontal: columns and their weights.
    """
    pooled = []
    for i, x in enumerate(features):
        rows, columns = _weights(level == i, vertical, horizontal, x.shape[:2])
        form = _pool_at_once if x.shape[0] * x.shape[1] <= _ONE_PRODUCT else _pool_in_turn
        pooled.append(form(x, rows, columns))
    return sum(pooled[1:], start=pooled[0])


def gradient(
    g: jax.Array,
    level: jax.Array,
    vertical: AxisSamples,
    horizontal: AxisSamples,
    *,
    sizes: tuple[tuple[int, int], ...],
) -> tuple[jax.Array, ...]:
    """Return the gradient f32[h,w,C] of each of the features of `average`; `sizes` are their (h, w)."""
    result = []
    for i, (height, width) in enumerate(sizes):
        rows, columns = _weights(level == i, vertical, horizontal, (height, width))
        form = _gradient_at_once if height * width <= _ONE_PRODUCT else _gradient_in_turn
        result.append(form(g, rows, columns))
    return tuple(result)


def _weights(
    here: jax.Array, vertical: AxisSamples, horizontal: AxisSamples, size: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Return the weight of each row, f32[R,bins,h], and column, f32[R,bins,w], in each bin of the boxes `here`."""

    def along(axis: AxisSamples, length: int) -> jax.Array:
        cells, weights = axis
        hits = cells[..., None] == jnp.arange(length, dtype=cells.dtype).reshape(1, 1, 1, -1)
        return jnp.sum(jnp.where(hits, weights[..., None], 0.0), axis=2)

    return jnp.where(here[:, None, None], along(vertical, size[0]), 0.0), along(horizontal, size[1])


def _pool_at_once(features: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    return _product("rijk,kc->rijc", _of_cells(rows, columns), features.reshape(-1, features.shape[-1]))


def _gradient_at_once(g: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    total = _product("rijk,rijc->kc", _of_cells(rows, columns), g)
    return total.reshape(rows.shape[-1], columns.shape[-1], -1).astype(jnp.float32)


def _of_cells(rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Return the weight f32[R,bins,bins,h*w] of each cell in each bin.

    Rows and columns are spread over the cells first, by a product with zeros and ones: to multiply them as [h,w] and
    join both dimensions moves every weight between a TPU's registers.
    """
    height, width = rows.shape[-1], columns.shape[-1]
    cell = jnp.arange(height * width, dtype=jnp.int32)
    rows, columns = _spread(rows, cell // width), _spread(columns, cell % width)
    return rows[:, :, None, :] * columns[:, None, :, :]


def _spread(weights: jax.Array, place: jax.Array) -> jax.Array:
    """Return weights[..., place], exactly, by a product: for so many it is cheaper than take_rows.select_rows."""
    chosen = (jnp.arange(weights.shape[-1], dtype=place.dtype)[:, None] == place[None]).astype(weights.dtype)
    return jnp.einsum("rbl,lk->rbk", weights, chosen, precision=lax.Precision.HIGHEST)


def _pool_in_turn(features: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Sum over the rows, then over the columns, of some boxes after the other."""

    def pool(boxes: tuple[jax.Array, jax.Array]) -> jax.Array:
        rows, columns = boxes
        return _product("rjw,riwc->rijc", columns, _product("rih,hwc->riwc", rows, features))

    output = lax.map(pool, (_in_turn(rows), _in_turn(columns)))
    return output.reshape(-1, *output.shape[2:])[: len(rows)]


def _gradient_in_turn(g: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    def add(total: jax.Array, boxes: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        g, rows, columns = boxes
        part = _product("rih,riwc->hwc", rows, _product("rjw,rijc->riwc", columns, g))
        return total + part.astype(jnp.float32), None

    zeros = jnp.zeros((rows.shape[-1], columns.shape[-1], g.shape[-1]), jnp.float32)
    return lax.scan(add, zeros, (_in_turn(g), _in_turn(rows), _in_turn(columns)))[0]


def _in_turn(x: jax.Array) -> jax.Array:
    """Return x [R,...] as [steps,boxes,...], filled up with zeros."""
    x = jnp.pad(x, [(0, -len(x) % _BOXES)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, _BOXES, *x.shape[1:])


def _product(subscripts: str, weights: jax.Array, values: jax.Array) -> jax.Array:
    """Return the einsum of both in the dtype of the values, to which weights are rounded as a convolution's are."""
    if values.dtype != jnp.bfloat16:
        return jnp.einsum(subscripts, weights, values, precision=lax.Precision.HIGHEST)
    weights = weights.astype(jnp.bfloat16)
    return jnp.einsum(subscripts, weights, values, preferred_element_type=jnp.float32).astype(jnp.bfloat16)
