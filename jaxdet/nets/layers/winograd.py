"""3x3 convolutions with 4 multiplications an output in place of 9: Winograd's F(2x2, 3x3) (Lavin & Gray 2016, 4.1).

The input is cut into overlapping tiles of 4x4, one for each 2x2 of outputs. In a transformed space a convolution is a
product of each of a tile's 16 cells with the kernel's, so that all tiles together are 16 products of matrices; the
gradient of the kernel is 16 more. The transforms only add, subtract and halve: float32 loses nothing that matters.
"""

import jax.numpy as jnp
from jax import lax


def convolve(x, kernel, *, precision=None):
    """x f32[B,h,w,C] by kernel f32[3,3,C,F], stride 1, SAME -> f32[B,h,w,F], as `jax.lax` up to rounding."""
    batch, height, width, _ = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    # Barriers make every transform one pass over memory: fused into what follows it would be computed again.
    tiles, kernel = lax.optimization_barrier((_input_tiles(x), _both_axes(_transform_kernel, kernel)))
    products = _products("nc,cf->nf", tiles, kernel, precision)
    output = lax.optimization_barrier(_both_axes(_transform_output, products))
    pixels = [[cell.reshape(batch, rows, 1, columns, 1, -1) for cell in row] for row in output]
    y = jnp.concatenate([jnp.concatenate(row, 4) for row in pixels], 2)
    return y.reshape(batch, 2 * rows, 2 * columns, -1)[:, :height, :width]


def kernel_gradient(x, g, *, precision=None):
    """Gradient f32[3,3,C,F] of `convolve`'s kernel for x f32[B,h,w,C] and g f32[B,h,w,F], that of its output."""
    height, width = g.shape[1:3]
    x, g = lax.optimization_barrier((x, g))  # else the tiles of `convolve` would be kept for this, four times x
    g = jnp.pad(g, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    cells = [[g[:, i::2, j::2].reshape(-1, g.shape[3]) for j in range(2)] for i in range(2)]
    tiles, cells = lax.optimization_barrier((_input_tiles(x), _both_axes(_output_transposed, cells)))
    products = _products("nc,nf->cf", tiles, cells, precision)
    return jnp.stack([jnp.stack(row) for row in _both_axes(_kernel_transposed, products)])


def _input_tiles(x):
    """The transformed 4x4 tiles of x [B,h,w,C], 4 lists of 4 [B*rows*columns,C]."""
    height, width, channels = x.shape[1:]
    rows, columns = -(-height // 2), -(-width // 2)
    x = jnp.pad(x, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    tiles = [[x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for j in range(4)] for i in range(4)]
    return [[cell.reshape(-1, channels) for cell in row] for row in _both_axes(_transform_input, tiles)]


def _products(subscripts, left, right, precision):
    """The product of each of 4x4 matrices with its partner."""
    return [
        [jnp.einsum(subscripts, a, b, precision=precision) for a, b in zip(*rows, strict=True)]
        for rows in zip(left, right, strict=True)
    ]


def _both_axes(transform, cells):
    """Applies a transform of a sequence to the rows and to the columns of a square of arrays."""
    columns = [transform(column) for column in zip(*cells, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


def _transform_input(d):
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _transform_kernel(k):
    return k[0], (k[0] + k[1] + k[2]) / 2, (k[0] - k[1] + k[2]) / 2, k[2]


def _kernel_transposed(u):
    return u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]


def _transform_output(m):
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _output_transposed(y):
    return y[0], y[0] + y[1], y[0] - y[1], -y[1]
