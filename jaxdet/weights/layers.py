"""Foreign arrays as jaxdet's layers: checked all together, then transposed."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.architectures import looks_like

Params = dict[str, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a file must hold for one layer. Widths are the file's own; they must only fit each other."""

    name: str
    source: str  # its name in the file
    reads: str  # the layer whose outputs it reads; '' reads the three channels of the image
    side: int = 3  # of the convolution's kernel; 0: fully connected
    cells: int = 1  # a fully connected layer reads this many cells of the other's outputs
    outputs: tuple[str, int] | None = None  # as many as this layer has, times this
    groups: int = 1  # each reads its own part of the other layer's outputs


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a library names and arranges a layer's two arrays."""

    kernel: str  # suffix of the layer's name
    bias: str
    convolution: tuple[int, int, int, int]  # its axes in the order height, width, in, out
    linear: tuple[int, int]  # its axes in the order in, out
    channels_first: bool  # whether cells are flattened as (channel, row, column)


TORCH = Layout(".weight", ".bias", (2, 3, 1, 0), (1, 0), channels_first=True)
KERAS = Layout("/kernel", "/bias", (0, 1, 2, 3), (0, 1), channels_first=False)


def vgg16_layers(sources: Mapping[str, str]) -> list[Layer]:
    """conv1_1 to conv5_3, one after the other, from {name: source}."""
    return [Layer(name, source, reads) for (name, source), reads in zip(sources.items(), ["", *sources], strict=False)]


def fully_connected(fc6: str, fc7: str, *, reads: str = "conv5_3", cells: int = 49) -> list[Layer]:
    """The two fully connected layers, VGG16's over 7x7 cells of conv5_3."""
    return [Layer("fc6", fc6, reads, side=0, cells=cells), Layer("fc7", fc7, "fc6", side=0)]


def convert(
    state: Mapping[str, Any], layers: Sequence[Layer], layout: Layout, *, what: str, unread: Iterable[str] = ()
) -> Params:
    """The layers' parameters: kernels [height, width, in, out] or [in, out] and biases, f32.

    Args:
      state: arrays, or anything with a shape and dtype that numpy can read, by the file's names.
      what: the network, for the error.
      unread: sources that may be there and are left out.

    Raises:
      InputError: one for all names that are missing, unknown, or of arrays whose shape does not fit.
    """
    problems = _problems(state, layers, layout, unread)
    if problems:
        raise InputError(
            f"the weights must have the names and shapes of {what}, got those of {looks_like(state)}: "
            f"{'; '.join(problems)}; give a file of {what}."
        )
    return {layer.name: _parameters(state, layer, layout) for layer in layers}


def _problems(state, layers, layout, unread):
    wanted = {layer.source + suffix for layer in layers for suffix in (layout.kernel, layout.bias)}
    allowed = wanted | {source + suffix for source in unread for suffix in (layout.kernel, layout.bias)}
    problems = []
    if missing := sorted(wanted - set(state)):
        problems.append(f"missing {', '.join(missing)}")
    if unknown := sorted(map(str, set(state) - allowed)):
        problems.append(f"unknown {', '.join(unknown)}")
    shapes = _wanted_shapes(state, layers, layout)
    for name in sorted(wanted & set(state)):
        got, dtype = (getattr(state[name], attribute, None) for attribute in ("shape", "dtype"))
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            problems.append(f"{name} is no array of floats")
        elif len(got) != len(shapes[name]) or any(w not in (g, None) for g, w in zip(got, shapes[name], strict=True)):
            problems.append(f"{name} is {_text(got)}, should be {_text(shapes[name])}")
    return problems


def _wanted_shapes(state, layers, layout):
    """Name -> shape; None stands for a length that nothing in the file tells."""
    outputs = {"": 3}
    for layer in layers:
        shape = getattr(state.get(layer.source + layout.bias), "shape", ())
        outputs[layer.name] = shape[0] if len(shape) == 1 else None
    shapes = {}
    for layer in layers:
        out, inputs = outputs[layer.name], outputs[layer.reads]
        if layer.outputs is not None:
            other, times = layer.outputs
            out = outputs[other] and outputs[other] * times
        ours = (layer.side,) * 2 * bool(layer.side) + (inputs and inputs * layer.cells // layer.groups, out)
        axes = layout.convolution if layer.side else layout.linear
        shapes[layer.source + layout.kernel] = tuple(ours[axes.index(axis)] for axis in range(len(axes)))
        shapes[layer.source + layout.bias] = (out,)
    return shapes


def _text(shape):
    return "x".join("?" if n is None else str(n) for n in shape) or "a single number"


def _parameters(state, layer, layout):
    kernel = np.asarray(state[layer.source + layout.kernel], np.float32)
    kernel = kernel.transpose(layout.convolution if layer.side else layout.linear)
    if layer.cells > 1 and layout.channels_first:
        side = round(layer.cells**0.5)
        kernel = kernel.reshape(-1, side, side, kernel.shape[1]).transpose(1, 2, 0, 3).reshape(kernel.shape)
    return {"kernel": kernel, "bias": np.asarray(state[layer.source + layout.bias], np.float32)}
