"""VGG16's layers on a TPU: maps cut into strips of rows, so that a batch is always a multiple of eight.

A TPU's vector registers hold eight rows of 128 values. With eight images (or strips) in a batch, XLA puts the batch
into the eight rows, and pooling, padding and masks move nothing between registers. With fewer images it cuts the maps
itself, and copies them between two layouts before and after every mask. So each image becomes a few strips, which are
batch entries of their own; before a convolution every strip gets the last row of the one above and the first of the one
below. The values are those of the whole map.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

BATCH = 8


@dataclasses.dataclass(frozen=True)
class Strips:
    """Maps [B,H,W,C] cut into strips: [B*count,H/count,W,C], those of one image from top to bottom."""

    x: jax.Array
    size: jax.Array  # i32[B,2] (height, width) of each image in its whole map
    count: int

    def positions(self) -> jax.Array:
        """Return the place of each strip in its image, i32[B*count]."""
        return jnp.tile(jnp.arange(self.count, dtype=jnp.int32), len(self.size))


def cut(x: jax.Array, size: jax.Array, *, multiple: int) -> Strips:
    """Cut maps [B,H,W,C] into strips of a multiple of `multiple` rows; the last are filled up with zeros."""
    count = BATCH // math.gcd(len(x), BATCH)
    rows = -(-x.shape[1] // (count * multiple)) * multiple
    x = jnp.pad(x, ((0, 0), (0, rows * count - x.shape[1]), (0, 0), (0, 0)))
    return Strips(x.reshape(-1, rows, *x.shape[2:]), size, count)


def join(strips: Strips, height: int) -> jax.Array:
    """Return the whole maps [B,height,W,C], without the rows that fill up the last strip."""
    x = strips.x
    return x.reshape(len(strips.size), -1, *x.shape[2:])[:, :height]


def zero_outside(strips: Strips) -> Strips:
    """Set the cells at or beyond each image's size to zero; values must be finite.

    By a product, which XLA fuses with the convolution before it, unlike a selection.
    """
    inside_y, inside_x = _inside(strips)
    return dataclasses.replace(strips, x=strips.x * inside_y * inside_x)


def relu_inside(strips: Strips) -> Strips:
    """Return zero_outside of the maps' ReLU; the gradient passes where the result is above zero."""
    return dataclasses.replace(strips, x=_relu_product(strips.x, *_inside(strips)))


def conv_3x3(strips: Strips, kernel: jax.Array) -> Strips:
    """Return the maps' convolution with a kernel [3,3,C,D]; beyond the whole map's border are zeros."""
    whole = strips.count == 1  # without neighbours the convolution pads the rows too
    x = lax.conv_general_dilated(
        strips.x if whole else _with_neighbour_rows(strips),
        kernel,
        window_strides=(1, 1),
        padding=((1, 1) if whole else (0, 0), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return dataclasses.replace(strips, x=x)


def max_pool_2x2(strips: Strips, *, rounding: str) -> Strips:
    """As nets.layers.pooling.max_pool_2x2; of equal maxima the first receives the whole gradient."""
    x = lax.reduce_window(strips.x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    size = (strips.size + 1) // 2 if rounding == "ceil" else strips.size // 2
    return zero_outside(Strips(x, size, strips.count))


def _inside(strips: Strips) -> tuple[jax.Array, jax.Array]:
    """Return 1 for the rows and 1 for the columns inside each image and 0 beyond: [B*count,H,1,1], [B*count,1,W,1]."""
    x, count = strips.x, strips.count
    height, width = (jnp.repeat(side, count)[:, None] for side in strips.size.T)
    y = jnp.arange(x.shape[1])[None] + strips.positions()[:, None] * x.shape[1]
    inside_x = (jnp.arange(x.shape[2])[None] < width).astype(x.dtype)[:, None, :, None]
    return (y < height).astype(x.dtype)[:, :, None, None], inside_x


@jax.custom_vjp
def _relu_product(x: jax.Array, inside_y: jax.Array, inside_x: jax.Array) -> jax.Array:
    """Return relu(x) * inside_y * inside_x.

    The gradient only needs to know where that is positive; otherwise jax stores the maps before the product too.
    """
    return jax.nn.relu(x) * inside_y * inside_x


def _relu_product_forward(x, inside_y, inside_x):
    y = _relu_product(x, inside_y, inside_x)
    return y, y > 0


def _relu_product_backward(positive, g):
    return jnp.where(positive, g, jnp.zeros((), g.dtype)), None, None  # the masks get no gradient


_relu_product.defvjp(_relu_product_forward, _relu_product_backward)


def _with_neighbour_rows(strips: Strips) -> jax.Array:
    """Return the strips with one more row above and below, from their neighbours; zeros at the map's border."""
    x, count = strips.x, strips.count
    position = strips.positions()[:, None, None, None]
    above = jnp.roll(x[:, -1:], 1, axis=0) * (position > 0).astype(x.dtype)
    below = jnp.roll(x[:, :1], -1, axis=0) * (position < count - 1).astype(x.dtype)
    return jnp.concatenate([above, x, below], axis=1)
