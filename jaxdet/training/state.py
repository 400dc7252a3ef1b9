"""What training carries from step to step, and the flat view of parameters it is kept in."""

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
    """All that decides the rest of a run; saved and restored whole.

    `step` counts finished optimiser steps. The parameters are split once, by the stage's `trainable(path)`: gradients
    and optimiser see only `trainable`. `key` is the run's own key and never changes: a step folds its number into it.
    """

    step: jax.Array  # i32[]
    trainable: FlatParams
    frozen: FlatParams
    opt_state: Any
    # Key data, for jit takes a typed key on several devices for a new argument after some steps.
    key: jax.Array  # u32[2]


def create(
    params: Params, tx: optax.GradientTransformation, key: jax.Array, *, trainable: Callable[[str], bool]
) -> TrainState:
    """Makes the state before the first step; `trainable(path)` tells which of the parameters learn.

    The state shares the arrays of `params`: the train step, which donates its state, deletes them.
    """
    flat = flatten(params)
    learns = {path: leaf for path, leaf in flat.items() if trainable(path)}
    if not learns:
        raise ValueError(f"create: trainable(path) must select parameters, got none of {sorted(flat)}.")
    frozen = {path: leaf for path, leaf in flat.items() if path not in learns}
    return TrainState(jnp.zeros((), jnp.int32), learns, frozen, tx.init(learns), jax.random.key_data(key))


def params(state: TrainState) -> Params:
    """Merges the two halves of the parameters into the nested dict that detectors take."""
    return unflatten(state.trainable | state.frozen)


def flatten(nested: Params, prefix: str = "") -> FlatParams:
    """Turns {"conv1_1": {"kernel": a}} into {"conv1_1/kernel": a}."""
    flat = {}
    for name, value in nested.items():
        path = prefix + name
        flat |= flatten(value, path + "/") if isinstance(value, dict) else {path: value}
    return flat


def unflatten(flat: FlatParams) -> Params:
    """Is the inverse of `flatten`."""
    nested: Params = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = leaf
    return nested


def digest(params: Params) -> str:
    """The start of the SHA-256 of all parameters, for the key of a file made with them; 0.4 s for VGG16."""
    found = hashlib.sha256()
    for path, leaf in sorted(flatten(params).items()):
        array = np.ascontiguousarray(leaf)
        found.update(f"{path} {array.dtype} {array.shape}".encode())
        found.update(array)
    return found.hexdigest()[:16]
