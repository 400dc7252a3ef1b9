"""3x3 convolutions with 4 multiplications per output instead of 9: Winograd's F(2x2, 3x3) (Lavin & Gray 2016, 4.1).

The input is cut into overlapping tiles of 4x4 cells, one for each 2x2 of outputs. In a transformed space, each of a
tile's 16 cells is multiplied by one of the kernel's 16 cells. For all tiles together these are 16 matrix products, and
16 more give the gradient of the kernel. The transforms only add, subtract and halve, so their rounding in float32 does
not matter.

A square of arrays is a sequence of rows, each a sequence of arrays: 4x4 for transformed tiles and kernels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Square = Sequence[Sequence[jax.Array]]
Transform = Callable[[Sequence[jax.Array]], Sequence[jax.Array]]


def convolve(x: jax.Array, kernel: jax.Array, *, precision: Any = None) -> jax.Array:
    """Return the convolution f32[B,h,w,F] of x f32[B,h,w,C] with kernel f32[3,3,C,F], stride 1, SAME.

    Equals `jax.lax.conv_general_dilated` up to rounding.
    """
    batch, height, width, _ = x.shape
    rows, columns = -(-height // 2), -(-width // 2)

    # Transform tiles and kernel. The barriers make every transform one pass over memory: fused into the code that
    # follows, it would be computed again and again.
    kernel_cells = [[kernel[i, j] for j in range(3)] for i in range(3)]
    tiles, transformed = lax.optimization_barrier((_input_tiles(x), _both_axes(_transform_kernel, kernel_cells)))

    # Multiply.
    products = _products("nc,cf->nf", tiles, transformed, precision)

    # Transform back to the 2x2 outputs of each tile.
    output = lax.optimization_barrier(_both_axes(_transform_output, products))

    # Interleave the outputs of all tiles.
    pixels = [[cell.reshape(batch, rows, 1, columns, 1, -1) for cell in row] for row in output]
    y = jnp.concatenate([jnp.concatenate(row, 4) for row in pixels], 2)
    return y.reshape(batch, 2 * rows, 2 * columns, -1)[:, :height, :width]


def kernel_gradient(x: jax.Array, g: jax.Array, *, precision: Any = None) -> jax.Array:
    """Return the gradient f32[3,3,C,F] of `convolve`'s kernel, for x f32[B,h,w,C] and its output's gradient g
    f32[B,h,w,F].
    """
    height, width = g.shape[1:3]
    # Without the barrier XLA would keep the tiles of `convolve` for this, four times the size of x.
    x, g = lax.optimization_barrier((x, g))

    # Cut g into 2x2 cells and transform both.
    g = jnp.pad(g, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    cells = [[g[:, i::2, j::2].reshape(-1, g.shape[3]) for j in range(2)] for i in range(2)]
    tiles, transformed = lax.optimization_barrier((_input_tiles(x), _both_axes(_transpose_output, cells)))

    # Multiply, and transform back to the 3x3 taps.
    products = _products("nc,nf->cf", tiles, transformed, precision)
    return jnp.stack([jnp.stack(row) for row in _both_axes(_transpose_kernel, products)])


def _input_tiles(x: jax.Array) -> Square:
    """Return the transformed 4x4 tiles of x [B,h,w,C], each cell [B*rows*columns,C]."""
    height, width, channels = x.shape[1:]
    rows, columns = -(-height // 2), -(-width // 2)
    x = jnp.pad(x, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    tiles = [[x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for j in range(4)] for i in range(4)]
    return [[cell.reshape(-1, channels) for cell in row] for row in _both_axes(_transform_input, tiles)]


def _products(subscripts: str, left: Square, right: Square, precision: Any) -> Square:
    """Return the einsum of each matrix of a square with its partner."""
    return [
        [jnp.einsum(subscripts, a, b, precision=precision) for a, b in zip(*rows, strict=True)]
        for rows in zip(left, right, strict=True)
    ]


def _both_axes(transform: Transform, square: Square) -> Square:
    """Apply a transform of a sequence to the columns of a square, then to its rows."""
    columns = [transform(column) for column in zip(*square, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


# The transforms along one axis, B^T d, G k and A^T m in Lavin & Gray's notation, and the transposes of the last two.


def _transform_input(d):
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _transform_kernel(k):
    return k[0], (k[0] + k[1] + k[2]) / 2, (k[0] - k[1] + k[2]) / 2, k[2]


def _transpose_kernel(u):
    return u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]


def _transform_output(m):
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _transpose_output(y):
    return y[0], y[0] + y[1], y[0] - y[1], -y[1]
