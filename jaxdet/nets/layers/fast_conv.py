"""A convolution for `flax.linen.Conv(conv_general_dilated=...)` that is fast on CPU too.

3x3, stride 1, SAME convolutions of many channels, and their gradients, use Winograd's algorithm where the program is
lowered for CPU. With few channels only the kernel gradient is changed: XLA on CPU computes it as a convolution with the
whole feature map as its kernel, up to three times slower than a matrix product of the same size. Other convolutions and
platforms use `jax.lax.conv_general_dilated`.

On every platform, a convolution in groups becomes one convolution per group, for XLA on CPU takes six times as long
over AlexNet's, and a strided convolution of few channels, such as the first of AlexNet and ZF-Net, becomes an unstrided
one (space to depth).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.nets.layers import winograd
from jaxdet.ops.by_platform import by_platform

Padding = Sequence[tuple[int, int]]

_NHWC = ("NHWC", "HWIO", "NHWC")
MAX_S2D_CHANNELS = 4  # matrix products of more channels are fast without space to depth
# With fewer channels Winograd's transforms take about as long as they save; with fewer pixels the kernel's do. And each
# layer takes seconds to compile.
MIN_WINOGRAD_CHANNELS = 256
MIN_WINOGRAD_PIXELS = 2048


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
) -> jax.Array:
    """Return `jax.lax.conv_general_dilated(...)` up to rounding, faster on CPU in the cases above, all NHWC.

    lhs are activations [B,h,w,C] and rhs is a kernel [kh,kw,C/groups,F] of the same dtype; the result is [B,h',w',F].
    The other arguments are those of `jax.lax`, in any combination.
    """
    spec = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    options = {
        "window_strides": window_strides,
        "padding": padding,
        "lhs_dilation": lhs_dilation,
        "rhs_dilation": rhs_dilation,
        "dimension_numbers": dimension_numbers,
        "precision": precision,
    }

    # One convolution per group.
    if feature_group_count > 1:
        inputs = jnp.split(lhs, feature_group_count, spec.lhs_spec[1])
        kernels = jnp.split(rhs, feature_group_count, spec.rhs_spec[0])
        outputs = [conv_general_dilated(x, kernel, **options) for x, kernel in zip(inputs, kernels, strict=True)]
        return jnp.concatenate(outputs, spec.out_spec[1])

    dilated = any(d != 1 for dilation in (lhs_dilation, rhs_dilation) if dilation is not None for d in dilation)
    if rhs.ndim == 4 and spec == lax.conv_dimension_numbers(lhs.shape, rhs.shape, _NHWC) and not dilated:
        size, strides = rhs.shape[:2], tuple(window_strides)

        # Space to depth.
        if 1 < strides[0] == strides[1] < size[0] == size[1] and lhs.shape[3] <= MAX_S2D_CHANNELS:
            pads = lax.padtype_to_pads(lhs.shape[1:3], size, strides, padding) if isinstance(padding, str) else padding
            return _space_to_depth_conv(lhs, rhs, strides[0], pads, precision)

        # 3x3, stride 1, SAME.
        same = padding == "SAME" or tuple(map(tuple, padding)) == ((1, 1), (1, 1))
        if size == (3, 3) and strides == (1, 1) and same:
            return _conv3x3(precision, lhs, rhs)

    return lax.conv_general_dilated(lhs, rhs, **options)


def _space_to_depth_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, precision: Any) -> jax.Array:
    """Compute a strided convolution of few channels as an unstrided one over cells of stride x stride pixels.

    The sums are the same, but as matrix products with stride^2 times as many columns: AlexNet's conv1 (11x11, stride 4,
    3 channels) becomes a 3x3 convolution of 48 channels.
    """
    size, channels, features = kernel.shape[0], *kernel.shape[2:]
    cells = -(-size // stride)

    # Pad and crop the image to whole cells, as many as the windows reach.
    pads, crop = [], []
    for side, (before, after) in zip(x.shape[1:3], padding, strict=True):
        needed = ((side + before + after - size) // stride + cells) * stride
        pads.append((before, max(needed - side - before, 0)))
        crop.append(needed)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))[:, : crop[0], : crop[1]]

    # Move the pixels of each cell into its channels.
    x = x.reshape(len(x), crop[0] // stride, stride, crop[1] // stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], x.shape[3], -1)

    # The same for the kernel.
    kernel = jnp.pad(kernel, (*[(0, cells * stride - size)] * 2, (0, 0), (0, 0)))
    kernel = kernel.reshape(cells, stride, cells, stride, channels, features)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(cells, cells, -1, features)

    if cells == 3:  # with the fast gradient, at the price of a border that is cut off
        return _conv3x3(precision, x, kernel)[:, 1:-1, 1:-1]
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=_NHWC, precision=precision)


# 3x3, stride 1, SAME. `precision` comes first, for it is not differentiated.


def _stock(precision: Any, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_NHWC, precision=precision)


def _convolve(precision: Any, x: jax.Array, kernel: jax.Array) -> jax.Array:
    stock = functools.partial(_stock, precision)
    if not _use_winograd(x, kernel):
        return stock(x, kernel)
    fast = functools.partial(winograd.convolve, precision=precision)
    return by_platform(x, kernel, cpu=fast, default=stock)


def _use_winograd(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether Winograd's smaller products save more time than its transforms cost; never in bfloat16."""
    large = min(kernel.shape[2:]) >= MIN_WINOGRAD_CHANNELS and x[..., 0].size >= MIN_WINOGRAD_PIXELS
    return x.dtype == jnp.float32 and large


_conv3x3 = jax.custom_vjp(_convolve, nondiff_argnums=(0,))


def _forward(precision, x, kernel):
    return _convolve(precision, x, kernel), (x, kernel)


def _backward(precision, residuals, g):
    def stock(x, kernel, g):
        return jax.vjp(functools.partial(_stock, precision), x, kernel)[1](g)

    def fast(x, kernel, g):
        if _use_winograd(x, kernel):
            rotated = kernel[::-1, ::-1].swapaxes(2, 3)
            input_gradient = winograd.convolve(g, rotated, precision=precision)
            return input_gradient, winograd.kernel_gradient(x, g, precision=precision)
        return stock(x, kernel, g)[0], _kernel_gradient(precision, x, g)

    return by_platform(*residuals, g, cpu=fast, default=stock)


_conv3x3.defvjp(_forward, _backward)


def _kernel_gradient(precision: Any, x: jax.Array, g: jax.Array) -> jax.Array:
    """Return dK[i,j] = sum over y, x of x[y+i-1, x+j-1] g[y, x], f[3,3,C,F].

    All nine taps are one product [3C, B*h*w] x [B*h*w, 3F].
    """
    height, width, channels, filters = *x.shape[1:], g.shape[3]

    # Rows of the product: x shifted vertically. Columns: g shifted horizontally.
    x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    g = jnp.pad(g, ((0, 0), (0, 0), (1, 1), (0, 0)))
    x = jnp.concatenate([x[:, i : i + height] for i in range(3)], axis=-1)
    g = jnp.concatenate([g[:, :, 2 - j : 2 - j + width] for j in range(3)], axis=-1)
    x, g = lax.optimization_barrier((x.reshape(-1, 3 * channels), g.reshape(-1, 3 * filters)))

    # Accumulated in float32, for the sums are long.
    taps = lax.dot_general(x, g, (((0,), (0,)), ((), ())), precision=precision, preferred_element_type=jnp.float32)
    return taps.reshape(3, channels, 3, filters).transpose(0, 2, 1, 3).astype(x.dtype)
