"""Conversion of another library's arrays to jaxdet's layers: all checked together, then transposed."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError
from jaxdet.types import Params
from jaxdet.weights.architectures import looks_like

MAX_BYTES = 4 * 2**30  # of a file of weights, which is read into memory; VGG16 with Adam's state has 1.7 GB

# VGG16's convolutions: layer -> (its name in Keras, its index in torchvision's `features`).
VGG16_LAYERS = {
    "conv1_1": ("block1_conv1", 0),
    "conv1_2": ("block1_conv2", 2),
    "conv2_1": ("block2_conv1", 5),
    "conv2_2": ("block2_conv2", 7),
    "conv3_1": ("block3_conv1", 10),
    "conv3_2": ("block3_conv2", 12),
    "conv3_3": ("block3_conv3", 14),
    "conv4_1": ("block4_conv1", 17),
    "conv4_2": ("block4_conv2", 19),
    "conv4_3": ("block4_conv3", 21),
    "conv5_1": ("block5_conv1", 24),
    "conv5_2": ("block5_conv2", 26),
    "conv5_3": ("block5_conv3", 28),
}

# Caffe's nets of five convolutions: (kernel's side, groups) of conv1 to conv5.
FIVE_CONVOLUTIONS = {
    "alexnet": ((11, 1), (5, 2), (3, 1), (3, 2), (3, 2)),
    "zf": ((7, 1), (5, 1), (3, 1), (3, 1), (3, 1)),
    "vgg_m": ((7, 1), (5, 1), (3, 1), (3, 1), (3, 1)),
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer that a file must hold. The file decides its width, which must fit the layers beside it."""

    name: str
    source: str  # its name in the file
    reads: str  # the layer whose outputs it reads; '' reads the three channels of the image
    side: int = 3  # of the convolution's kernel; 0: fully connected
    cells: int = 1  # a fully connected layer reads this many cells of the other layer's outputs
    outputs: tuple[str, int] | None = None  # (layer, factor): has this many times the outputs of that layer
    groups: int = 1  # each reads its own part of the other layer's outputs


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names and axis order of a layer's two arrays in a library."""

    kernel: str  # suffix of the layer's name
    bias: str
    convolution: tuple[int, int, int, int]  # its axes in the order height, width, in, out
    linear: tuple[int, int]  # its axes in the order in, out
    channels_first: bool  # cells are flattened as (channel, row, column)


TORCH = Layout(".weight", ".bias", (2, 3, 1, 0), (1, 0), channels_first=True)
KERAS = Layout("/kernel", "/bias", (0, 1, 2, 3), (0, 1), channels_first=False)

Shape = tuple[int | None, ...]  # None: a length that the file does not determine


def vgg16_convolutions(sources: Mapping[str, str]) -> list[Layer]:
    """Return conv1_1 to conv5_3, each reading the one before, from {name: source}."""
    return [Layer(name, source, reads) for (name, source), reads in zip(sources.items(), ["", *sources], strict=False)]


def five_convolutions(backbone: str) -> list[Layer]:
    """Return conv1 to conv5 of a backbone in FIVE_CONVOLUTIONS under Caffe's names, each reading the one before."""
    names = [f"conv{i}" for i in range(1, 6)]
    return [
        Layer(name, name, reads, side=side, groups=groups)
        for name, reads, (side, groups) in zip(names, ["", *names[:-1]], FIVE_CONVOLUTIONS[backbone], strict=True)
    ]


def fully_connected(fc6: str, fc7: str, *, reads: str = "conv5_3", cells: int = 49) -> list[Layer]:
    """Return the two fully connected layers of these sources; VGG16's fc6 reads 7x7 cells of conv5_3."""
    return [Layer("fc6", fc6, reads, side=0, cells=cells), Layer("fc7", fc7, "fc6", side=0)]


def convert(
    state: Mapping[str, Any], layers: Sequence[Layer], layout: Layout, *, what: str, ignored: Iterable[str] = ()
) -> Params:
    """Convert the arrays to the layers' parameters: kernels [height, width, in, out] or [in, out] and biases, f32.

    Args:
      state: arrays, or anything with a shape and dtype that numpy can read, by the file's names.
      layers: the layers that it must hold.
      layout: of the library that wrote it.
      what: the network, for the error.
      ignored: sources that the file may hold besides. Names of other modules than the layers' are ignored too.

    Raises:
      InputError: one error for all names that are missing, unknown, or of arrays whose shape does not fit.
    """
    problems = _problems(state, layers, layout, ignored)
    if problems:
        raise InputError(
            f"the weights must have the names and shapes of {what}, got those of {looks_like(state)}: "
            f"{'; '.join(problems)}; give a file of {what}."
        )
    return {layer.name: _parameters(state, layer, layout) for layer in layers}


def some(names: Sequence[str], most: int = 4) -> str:
    """Return the first of many names, comma-separated and shortened for an error."""
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([name if len(name) <= 60 else f"{name[:57]}..." for name in names[:most]] + more)


def _problems(state: Mapping[str, Any], layers: Sequence[Layer], layout: Layout, ignored: Iterable[str]) -> list[str]:
    # Compare the names. One of the same module is of a similar network: VGG19 has features.34, or block3_conv4.
    required = {layer.source + suffix for layer in layers for suffix in (layout.kernel, layout.bias)}
    modules = {_module(name) for name in required}
    extra = tuple(source + layout.kernel[0] for source in ignored)
    problems = []
    if missing := sorted(required - set(state)):
        problems.append(f"missing {some(missing)}")
    similar = (name for name in set(state) - required if _module(name) in modules)
    if unknown := sorted(name for name in similar if not name.startswith(extra)):
        problems.append(f"unknown {some(unknown)}")

    # Compare the shapes.
    shapes = _expected_shapes(state, layers, layout)
    wrong = []
    for name in sorted(required & set(state)):
        shape, dtype = (getattr(state[name], attribute, None) for attribute in ("shape", "dtype"))
        if shape is None or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            wrong.append(f"{name} is no array of floats")
        elif not _fits(shape, shapes[name]):
            wrong.append(f"{name} is {_text(shape)}, should be {_text(shapes[name])}")
    if len(wrong) > 4:
        wrong[4:] = [f"{len(wrong) - 4} more of another shape"]
    return problems + wrong


def _module(name: str) -> str:
    """Return the start of a name up to its first number, dot or slash: features, conv, block."""
    return re.split(r"[\d./]", name, maxsplit=1)[0]


def _fits(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(e in (n, None) for n, e in zip(shape, expected, strict=True))


def _expected_shapes(state: Mapping[str, Any], layers: Sequence[Layer], layout: Layout) -> dict[str, Shape]:
    """Return the shape of each array by name, derived from the lengths of the biases."""
    # Read the width of each layer.
    outputs: dict[str, int | None] = {"": 3}
    for layer in layers:
        shape: Shape = getattr(state.get(layer.source + layout.bias), "shape", ())
        outputs[layer.name] = shape[0] if len(shape) == 1 else None

    # Derive the shapes of kernel and bias.
    shapes = {}
    for layer in layers:
        out, inputs = outputs[layer.name], outputs[layer.reads]
        if layer.outputs is not None:
            other, factor = layer.outputs
            width = outputs[other]
            out = width and width * factor
        inputs = inputs and inputs * layer.cells // layer.groups
        ours = [layer.side, layer.side, inputs, out] if layer.side else [inputs, out]
        axes: tuple[int, ...] = layout.convolution if layer.side else layout.linear
        shapes[layer.source + layout.kernel] = tuple(ours[axes.index(axis)] for axis in range(len(axes)))
        shapes[layer.source + layout.bias] = (out,)
    return shapes


def _text(shape: Shape) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "a single number"


def _parameters(state: Mapping[str, Any], layer: Layer, layout: Layout) -> dict[str, np.ndarray]:
    kernel = np.asarray(state[layer.source + layout.kernel], np.float32)
    kernel = kernel.transpose(layout.convolution if layer.side else layout.linear)
    if layer.cells > 1 and layout.channels_first:  # reorder the inputs to (row, column, channel)
        side = round(layer.cells**0.5)
        kernel = kernel.reshape(-1, side, side, kernel.shape[1]).transpose(1, 2, 0, 3).reshape(kernel.shape)
    return {"kernel": kernel, "bias": np.asarray(state[layer.source + layout.bias], np.float32)}
