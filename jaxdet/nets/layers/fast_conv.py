"""A convolution that is fast on CPU too, to be given to `flax.linen.Conv(conv_general_dilated=...)`.

3x3, stride 1, SAME convolutions of many channels, and their gradients, are Winograd's where the program is lowered for
CPU. With few channels only the kernel gradient is changed: XLA on CPU computes the stock one as a convolution with the
whole feature map as its kernel, up to three times slower than a matrix product of the same size. Every other
convolution and platform keeps the stock one.

Convolutions in groups become one for each group: XLA on CPU takes six times as long over AlexNet's otherwise. Strided
ones of few channels, the first of AlexNet and ZF-Net, become unstrided ones over cells of pixels.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.nets.layers import winograd

_NHWC = ("NHWC", "HWIO", "NHWC")
FEW = 4  # channels: fewer than a product of matrices needs to be fast
# With fewer channels Winograd's transforms take as long as they save, with fewer pixels those of the kernel do; and
# each layer takes seconds to compile.
MANY, LARGE = 128, 2048


def conv_general_dilated(
    lhs,
    rhs,
    window_strides,
    padding,
    lhs_dilation=None,
    rhs_dilation=None,
    dimension_numbers=None,
    feature_group_count=1,
    precision=None,
):
    """`jax.lax.conv_general_dilated`, faster on CPU for groups, for strided convolutions of few channels and for 3x3,
    stride 1, SAME ones and their gradients, all NHWC.

    Args:
      lhs: [B,h,w,C] activations.
      rhs: [kh,kw,C/groups,F] kernel of the same dtype.
      The others are as in `jax.lax`; any combination but the fast ones falls through to it.

    Returns: [B,h',w',F], equal to `jax.lax`'s up to rounding.
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
    if feature_group_count > 1:
        inputs = jnp.split(lhs, feature_group_count, spec.lhs_spec[1])
        kernels = jnp.split(rhs, feature_group_count, spec.rhs_spec[0])
        outputs = [conv_general_dilated(x, kernel, **options) for x, kernel in zip(inputs, kernels, strict=True)]
        return jnp.concatenate(outputs, spec.out_spec[1])
    dilated = any(d != 1 for dilation in (lhs_dilation, rhs_dilation) if dilation is not None for d in dilation)
    if rhs.ndim == 4 and spec == lax.conv_dimension_numbers(lhs.shape, rhs.shape, _NHWC) and not dilated:
        size, strides = rhs.shape[:2], tuple(window_strides)
        if 1 < strides[0] == strides[1] < size[0] == size[1] and lhs.shape[3] <= FEW:
            if isinstance(padding, str):
                padding = lax.padtype_to_pads(lhs.shape[1:3], size, strides, padding)
            return _in_cells(lhs, rhs, strides[0], padding, precision)
        around = padding == "SAME" or tuple(map(tuple, padding)) == ((1, 1), (1, 1))
        if size == (3, 3) and strides == (1, 1) and around:
            return _conv3x3(precision, lhs, rhs)
    return lax.conv_general_dilated(lhs, rhs, **options)


def _in_cells(x, kernel, stride, padding, precision):
    """A strided convolution of few channels as an unstrided one over cells of stride x stride pixels.

    The same sums, but as products of matrices with stride^2 times as many columns: AlexNet's conv1 (11x11/4 of 3
    channels) is a 3x3 convolution of 48.
    """
    size, channels, features = kernel.shape[0], *kernel.shape[2:]
    cells = -(-size // stride)
    pads, crop = [], []
    for side, (before, after) in zip(x.shape[1:3], padding, strict=True):
        needed = ((side + before + after - size) // stride + cells) * stride
        pads.append((before, max(needed - side - before, 0)))
        crop.append(needed)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))[:, : crop[0], : crop[1]]
    x = x.reshape(len(x), crop[0] // stride, stride, crop[1] // stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], x.shape[3], -1)
    kernel = jnp.pad(kernel, (*[(0, cells * stride - size)] * 2, (0, 0), (0, 0)))
    kernel = kernel.reshape(cells, stride, cells, stride, channels, features)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(cells, cells, -1, features)
    if cells == 3:  # with the fast gradient, at the price of a border that is cut off
        return _conv3x3(precision, x, kernel)[:, 1:-1, 1:-1]
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=_NHWC, precision=precision)


def _stock(precision, x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_NHWC, precision=precision)


def _convolve(precision, x, kernel):
    stock = functools.partial(_stock, precision)
    if not _by_winograd(x, kernel):
        return stock(x, kernel)
    fast = functools.partial(winograd.convolve, precision=precision)
    return lax.platform_dependent(x, kernel, cpu=fast, default=stock)


def _by_winograd(x, kernel):
    """Whether the products are large enough to save more than Winograd's transforms cost; not in bfloat16."""
    return x.dtype == jnp.float32 and min(kernel.shape[2:]) >= MANY and x[..., 0].size >= LARGE


_conv3x3 = jax.custom_vjp(_convolve, nondiff_argnums=(0,))


def _forward(precision, x, kernel):
    return _convolve(precision, x, kernel), (x, kernel)


def _backward(precision, residuals, g):
    def stock(x, kernel, g):
        return jax.vjp(functools.partial(_stock, precision), x, kernel)[1](g)

    def fast(x, kernel, g):
        if _by_winograd(x, kernel):
            turned = kernel[::-1, ::-1].swapaxes(2, 3)
            input_gradient = winograd.convolve(g, turned, precision=precision)
            return input_gradient, winograd.kernel_gradient(x, g, precision=precision)
        return stock(x, kernel, g)[0], _kernel_gradient(precision, x, g)

    return lax.platform_dependent(*residuals, g, cpu=fast, default=stock)


_conv3x3.defvjp(_forward, _backward)


def _kernel_gradient(precision, x, g):
    """dK[i,j] = sum over y, x of x[y+i-1, x+j-1] g[y, x], all nine taps as one product [3C, B*h*w] x [B*h*w, 3F].

    Its rows are x shifted vertically, its columns g shifted horizontally.
    """
    height, width, channels, filters = *x.shape[1:], g.shape[3]
    x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    g = jnp.pad(g, ((0, 0), (0, 0), (1, 1), (0, 0)))
    x = jnp.concatenate([x[:, i : i + height] for i in range(3)], axis=-1)
    g = jnp.concatenate([g[:, :, 2 - j : 2 - j + width] for j in range(3)], axis=-1)
    x, g = lax.optimization_barrier((x.reshape(-1, 3 * channels), g.reshape(-1, 3 * filters)))
    # float32: the sums are long
    taps = lax.dot_general(x, g, (((0,), (0,)), ((), ())), precision=precision, preferred_element_type=jnp.float32)
    return taps.reshape(3, channels, 3, filters).transpose(0, 2, 1, 3).astype(x.dtype)
