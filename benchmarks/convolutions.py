"""CPU time of VGG16's 3x3 convolutions, jaxdet's (nets/layers/fast_conv.py) and jax.lax's, in turn.

    python -m benchmarks.convolutions [--width=1.0] [--height=608] [--columns=1008]

Milliseconds, medians of five: a layer alone, and with the gradients of its input and kernel.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.timing import cpu_seconds
from jaxdet.nets.layers.fast_conv import conv_general_dilated
from jaxdet.nets.vgg16 import BLOCKS


def layers(width, height, columns):
    """Yield (count, height, columns, channels, filters) of the convolutions after conv1_1, equal ones together."""
    channels = round(BLOCKS[0][0] * width)
    for block, (filters, convolutions) in enumerate(BLOCKS):
        filters, size = round(filters * width), (height >> block, columns >> block)
        first = int(block > 0 and channels != filters)
        if first:
            yield 1, *size, channels, filters
        yield convolutions - max(first, block == 0), *size, filters, filters
        channels = filters


def alone_and_with_gradients(conv):
    def alone(x, kernel):
        return conv(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def with_gradients(x, kernel):
        y, vjp = jax.vjp(alone, x, kernel)
        return vjp(y)

    return jax.jit(alone), jax.jit(with_gradients)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0, help="share of VGG16's channels")
    parser.add_argument("--height", type=int, default=608)
    parser.add_argument("--columns", type=int, default=1008)
    flags = parser.parse_args()
    functions = (
        *alone_and_with_gradients(conv_general_dilated),
        *alone_and_with_gradients(lax.conv_general_dilated),
    )
    print(f"jax {jax.__version__} on {jax.default_backend()}")
    print(f"{'layer':32}{'jaxdet':>8}{'jax.lax':>9}   with gradients{'jaxdet':>8}{'jax.lax':>9}")
    rng = np.random.default_rng(0)
    for count, height, columns, channels, filters in layers(flags.width, flags.height, flags.columns):
        x = jnp.asarray(rng.normal(size=(1, height, columns, channels)), jnp.float32)
        kernel = jnp.asarray(rng.normal(size=(3, 3, channels, filters)), jnp.float32)
        rounds = [[1e3 * cpu_seconds(f, x, kernel) for f in functions] for _ in range(6)][1:]  # the first compiles
        ours, ours_both, stock, stock_both = (statistics.median(times) for times in zip(*rounds, strict=True))
        name = f"{count} x {height}x{columns}, {channels} -> {filters}"
        print(f"{name:32}{ours:8.0f}{stock:9.0f}{'':17}{ours_both:8.0f}{stock_both:9.0f}", flush=True)


if __name__ == "__main__":
    main()
