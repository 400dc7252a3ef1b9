"""Sorting on a TPU: a kernel that runs a bitonic network (Batcher 1968) on arrays that stay in fast memory.

XLA's own sort takes 20 times as long to compile, and the compiler's estimate leaves it out. Here the number of steps is
known: m (m + 1) / 2 for 2^m slots, each an exchange of every slot with the one whose place differs in one bit.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

_LANES = 128
_MIN_ROWS = 8  # a register holds 8 x 128 values
_TILE_ROWS = 32  # read, exchanged and written at a time
_LAST = jnp.iinfo(jnp.int32).max
_FAST_MEMORY = 16 * 2**20  # bytes of a TPU v2 to v4; a v5e has 128 MiB


def fits(length: int, num_operands: int) -> bool:
    """Return whether the kernel can sort operands of this length in the fast memory of any TPU."""
    return _bytes(length, num_operands) < _FAST_MEMORY


def sort(*operands: jax.Array, num_keys: int, interpret: bool = False) -> tuple[jax.Array, ...]:
    """Return the operands [N] by ascending keys.

    Args:
      operands: f32 or i32; the first `num_keys` are the keys, compared one after the other. No two slots may have equal
        keys. -0 equals 0 and comes out as 0; NaN comes last.
      num_keys: at least 1.
      interpret: run the kernel without a TPU, slowly.
    """
    length = operands[0].shape[0]
    slots = _slots(length)
    rows = slots // _LANES

    def to_rows(x: jax.Array, fill: int) -> jax.Array:
        return jnp.pad(x, (0, slots - length), constant_values=fill).reshape(rows, _LANES)

    keys = [to_rows(_ordered(x), _LAST) for x in operands[:num_keys]]
    arrays = keys + [to_rows(x, 0) for x in operands[num_keys:]]
    arrays = pl.pallas_call(
        functools.partial(_sort, num_keys=num_keys, tile_rows=min(_TILE_ROWS, rows)),
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays],
        compiler_params=pltpu.CompilerParams(vmem_limit_bytes=_bytes(length, len(arrays)) + 2**23),
        interpret=interpret,
        name="sort",
    )(*arrays)
    arrays = [x.reshape(-1)[:length] for x in arrays]
    keys = [_from_ordered(key, x.dtype) for key, x in zip(arrays[:num_keys], operands[:num_keys], strict=True)]
    return (*keys, *arrays[num_keys:])


def _slots(length: int) -> int:
    """Return the power of two that the operands are filled up to."""
    return max(_MIN_ROWS * _LANES, 1 << (length - 1).bit_length())


def _bytes(length: int, num_operands: int) -> int:
    """Return the size of the operands, held twice as input and twice as output."""
    return 4 * 4 * _slots(length) * num_operands


# Floats as integers of the same order.


def _ordered(key: jax.Array) -> jax.Array:
    if key.dtype == jnp.int32:
        return key
    key = jnp.where(key == 0, 0.0, jnp.where(jnp.isnan(key), jnp.nan, key))
    return _flip(lax.bitcast_convert_type(key, jnp.int32))


def _from_ordered(key: jax.Array, dtype: jnp.dtype) -> jax.Array:
    return key if dtype == jnp.int32 else lax.bitcast_convert_type(_flip(key), dtype)


def _flip(bits: jax.Array) -> jax.Array:
    """Reverse the order of negative floats' bits: as integers, the larger magnitude comes last."""
    return bits ^ ((bits >> 31) & _LAST)


# The network.


def _sort(*refs, num_keys: int, tile_rows: int) -> None:
    """Sort: stage k merges runs of 2^(k-1) slots, which alternately ascend and descend, to runs of 2^k."""
    sources, arrays = refs[: len(refs) // 2], refs[len(refs) // 2 :]
    for source, array in zip(sources, arrays, strict=True):
        array[...] = source[...]
    num_tiles = arrays[0].shape[0] // tile_rows
    bits_in_tile = (tile_rows * _LANES).bit_length() - 1
    bits = bits_in_tile + num_tiles.bit_length() - 1

    def merge(stage, _):
        # Exchange whole tiles as long as the distance is a tile or more, then slots within each tile.
        def exchange_at_distance(step, _):
            distance = 1 << (stage - 1 - bits_in_tile - step)
            _for_each(num_tiles // 2, _exchange_tiles, distance, stage, arrays, num_keys, tile_rows)
            return 0

        lax.fori_loop(0, jnp.maximum(stage - bits_in_tile, 0), exchange_at_distance, 0)
        _for_each(num_tiles, _exchange_within_tile, stage, arrays, num_keys, tile_rows)
        return 0

    lax.fori_loop(1, bits + 1, merge, 0)


def _for_each(count: int, function, *arguments) -> None:
    """Call function(i, *arguments) for i in 0..count-1."""

    def call(i, _):
        function(i, *arguments)
        return 0

    lax.fori_loop(0, count, call, 0)


def _exchange_tiles(pair, distance, stage, arrays, num_keys: int, tile_rows: int) -> None:
    """Put the smaller slots of two tiles first, or last where the run descends."""
    first = ((pair & -distance) << 1) | (pair & (distance - 1))
    a, b = _rows(first, tile_rows), _rows(first + distance, tile_rows)
    of_a, of_b = [x[a] for x in arrays], [x[b] for x in arrays]
    descends = _bit(first * tile_rows * _LANES + _place(tile_rows), stage)  # the same for the whole tile
    swap = _after(of_a[:num_keys], of_b[:num_keys]) != descends
    for array, x, y in zip(arrays, of_a, of_b, strict=True):
        array[a] = jnp.where(swap, y, x)
        array[b] = jnp.where(swap, x, y)


def _exchange_within_tile(tile, stage, arrays, num_keys: int, tile_rows: int) -> None:
    """Merge within a tile: exchange at distances of 2^(stage-1), or half a tile if that is less, down to 1."""
    at = _rows(tile, tile_rows)
    place = _place(tile_rows)
    descends = _bit(tile * tile_rows * _LANES + place, stage)
    for bit in reversed(range((tile_rows * _LANES).bit_length() - 1)):

        @pl.when(bit < stage)
        def _(bit=bit):
            own = [x[at] for x in arrays]
            is_upper = _bit(place, bit)
            other = [jnp.where(is_upper, _shift(x, 1 << bit), _shift(x, -(1 << bit))) for x in own]
            takes_larger = is_upper != descends
            swap = _after(own[:num_keys], other[:num_keys]) != takes_larger
            for array, x, y in zip(arrays, own, other, strict=True):
                array[at] = jnp.where(swap, y, x)


def _rows(tile, tile_rows: int) -> slice | pl.Slice:
    return pl.ds(pl.multiple_of(tile * tile_rows, tile_rows), tile_rows)


def _place(tile_rows: int) -> jax.Array:
    """Return the number of each slot within its tile, i32[tile_rows,128]."""
    row, lane = (lax.broadcasted_iota(jnp.int32, (tile_rows, _LANES), axis) for axis in (0, 1))
    return row * _LANES + lane


def _bit(value, bit) -> jax.Array:
    return (value >> bit) & 1 == 1


def _shift(x: jax.Array, distance: int) -> jax.Array:
    """Return what is `distance` slots earlier; the caller reads no slot that came from the other end."""
    axis, steps = (1, distance) if abs(distance) < _LANES else (0, distance // _LANES)
    return pltpu.roll(x, steps % x.shape[axis], axis)


def _after(a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    """Return where the keys `a` come after the keys `b`."""
    after = a[-1] > b[-1]
    for x, y in zip(reversed(a[:-1]), reversed(b[:-1]), strict=True):
        after = (x > y) | ((x == y) & after)
    return after
