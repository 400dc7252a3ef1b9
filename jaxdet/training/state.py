"""The training state, and the flat form of parameters that it holds."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdet.types import Params

FlatParams = dict[str, jax.Array]  # "conv1_1/kernel" -> array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that determines the remaining steps of a run; saved and restored as a whole.

    `step` counts finished optimiser steps. The parameters are split once, by the stage's `trainable(path)`: gradients
    and optimiser see `trainable` only. `key` is the run's own key and never changes: each step folds its number into
    it.
    """

    step: jax.Array  # i32[]
    trainable: FlatParams
    frozen: FlatParams
    opt_state: Any
    # Stored as key data: jit retraces when a typed key is passed on several devices.
    key: jax.Array  # u32[2]


def create(
    params: Params, optimizer: optax.GradientTransformation, key: jax.Array, *, trainable: Callable[[str], bool]
) -> TrainState:
    """Return the state before the first step; `trainable` is a predicate over parameter paths.

    The state shares the arrays of `params`: the train step, which donates its state, deletes them.
    """
    flat = flatten(params)
    selected = {path: leaf for path, leaf in flat.items() if trainable(path)}
    if not selected:
        raise ValueError(f"create: trainable(path) must select parameters, got none of {sorted(flat)}.")
    frozen = {path: leaf for path, leaf in flat.items() if path not in selected}
    return TrainState(jnp.zeros((), jnp.int32), selected, frozen, optimizer.init(selected), jax.random.key_data(key))


def params(state: TrainState) -> Params:
    """Merge the trainable and the frozen parameters into the nested dict that detectors take."""
    return unflatten(state.trainable | state.frozen)


# flax.traverse_util has flatten_dict and unflatten_dict, but only nets/ imports flax.
def flatten(nested: Params, prefix: str = "") -> FlatParams:
    """Turn {"conv1_1": {"kernel": a}} into {"conv1_1/kernel": a}."""
    flat: FlatParams = {}
    for name, value in nested.items():
        path = prefix + name
        flat |= flatten(value, path + "/") if isinstance(value, dict) else {path: value}
    return flat


def unflatten(flat: FlatParams) -> Params:
    """Inverse of `flatten`."""
    nested: Params = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        layer = nested
        for folder in folders:
            layer = layer.setdefault(folder, {})
        layer[name] = leaf
    return nested


def digest(params: Params) -> str:
    """Return the first 16 digits of the SHA-256 of all parameters, for the keys of cached files; 0.4 s for VGG16."""
    sha256 = hashlib.sha256()
    for path, leaf in sorted(flatten(params).items()):
        array = np.ascontiguousarray(leaf)
        sha256.update(f"{path} {array.dtype} {array.shape}".encode())
        sha256.update(array.data)
    return sha256.hexdigest()[:16]
