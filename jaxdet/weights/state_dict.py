"""The state dict of a network, wherever a checkpoint holds it.

A checkpoint nests dicts ("model", "state_dict", "ema") and wrappers prefix names ("module.", "backbone."). Both are one
path here, joined by dots: `model.module.features.0.weight`. A network is found by the name of its first layer at the
end of such a path; what is before it is the network's prefix.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.layers import some

log = logging.getLogger(__name__)

# The first layers of VGG16 and of the three detectors.
FIRST_LAYERS = (
    *("features.0.weight", "conv1_1.weight"),
    *("extractor.0.weight", "backbone.0.weight", "backbone.body.conv1.weight"),
)
# Of CaffeNet and ZF-Net, and of ResNet-50: other layers of other networks are called conv1 too.
BESIDE_CONV1 = ("conv5.weight", "layer1.0.conv1.weight")
FLATTENED = re.compile(r"(?<![^.])features_(\d+)\.")  # timm's names with features_only=True
# Attributes in which DataParallel, torch.compile, FSDP and activation checkpointing hold a module, at any depth.
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def state_dict(contents: Any) -> dict[str, np.ndarray]:
    """Return a network's arrays by their names in the network, without anything else that a checkpoint holds.

    Where there are several networks (a model and its average), the one with the shortest path is read, of these the
    first in the file; the log names them. VGG16's convolutions alone may be in a module of any name: `0.weight` to
    `28.bias`.

    Raises:
      InputError: there is no dict of named arrays.
    """
    arrays = {FLATTENED.sub(r"features.\1.", path): array for path, array in _arrays(contents, (), set())}
    if not arrays:
        held = contents.values() if isinstance(contents, Mapping) else [contents]
        got = some([getattr(value, "name", type(value).__name__) for value in held]) or "nothing"
        raise InputError(f"the file must hold a state dict of named arrays, got {got}; save model.state_dict().")

    # Find the networks by their first layer.
    root, prefixes = "", _prefixes(arrays, *FIRST_LAYERS)
    if not prefixes:
        prefixes = _prefixes(arrays, "conv1.weight")
        prefixes = [prefix for prefix in prefixes if any(prefix + layer in arrays for layer in BESIDE_CONV1)]
    if not prefixes:
        root = "features."
        prefixes = [prefix for prefix in _prefixes(arrays, "0.weight") if f"{prefix}28.weight" in arrays]
    if not prefixes:
        return arrays

    # Read the first of those with the shortest path.
    prefix = min(prefixes, key=lambda prefix: prefix.count("."))
    if len(prefixes) > 1:
        names = some([prefix.rstrip(".") or "the outermost" for prefix in prefixes])
        log.warning("the file holds several networks (%s); reading %s", names, prefix.rstrip(".") or "the outermost")
    return {root + path.removeprefix(prefix): array for path, array in arrays.items() if path.startswith(prefix)}


def _prefixes(paths: Iterable[str], *names: str) -> list[str]:
    """Return what is before any of the names where a path ends in it, at a dot."""
    return [path.removesuffix(name) for path in paths for name in names if f".{path}".endswith(f".{name}")]


def _arrays(contents: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the path and value of every array in nested dicts; a dict that comes twice, or contains itself, once."""
    if isinstance(contents, Mapping) and id(contents) not in seen and len(path) < 20:
        seen.add(id(contents))
        for name, value in contents.items():
            yield from _arrays(value, (*path, str(name)), seen)
    elif hasattr(contents, "shape") and hasattr(contents, "dtype"):
        yield ".".join(part for name in path for part in name.split(".") if part not in WRAPPERS), contents
