"""One stage of training, and the weights it starts from: joint training has one, the paper's 4-step training four."""

import dataclasses
import logging
from collections.abc import Callable

import jax.numpy as jnp

from jaxdet.checks import InputError
from jaxdet.training.optimizer import LearningRate
from jaxdet.training.state import flatten, unflatten
from jaxdet.types import Params

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What its progress is called, which part of the parameters learns, for how long and how fast."""

    name: str
    trainable: Callable[[str], bool]  # path, as in "conv1_1/kernel" -> does it learn
    steps: int  # optimiser steps
    learning_rate: LearningRate


def start_from(source: Params, fresh: Params) -> Params:
    """Copies over fresh parameters what fits of `source`; what is left out is named in the log.

    Raises:
      InputError: where most kernels of `source` do not fit.
    """
    check_fits(source, fresh)
    params, left_out = copy_fitting(source, fresh)
    if left_out:
        log.warning("the weights to start from: left out %s", ", ".join(left_out))
    return params


def check_fits(source: Params, fresh: Params) -> None:
    """Raises InputError where most kernels of `source` do not fit; of `fresh` the shapes will do."""
    places = {path: list(leaf.shape) for path, leaf in flatten(fresh).items()}
    kernels = {path: list(leaf.shape) for path, leaf in flatten(source).items() if path.endswith("/kernel")}
    misfits = [path for path, shape in kernels.items() if places.get(path) != shape]
    if 2 * len(misfits) > len(kernels) or not kernels:  # heads of another size are usual, another backbone is a mistake
        first = "".join(f" ({path} is {kernels[path]}, not {places.get(path, 'there')})" for path in misfits[:1])
        raise InputError(
            f"the weights to start from must fit the net, got {len(kernels) - len(misfits)} of {len(kernels)} kernels "
            f"that do{first}; give net the width that they have, or start from others."
        )


def copy_fitting(source: Params, params: Params) -> tuple[Params, list[str]]:
    """Takes from `source` every leaf that `params` has under the same path in the same shape.

    Returns the parameters and, path by path, what was left out: leaves that keep the value they had in `params` (a
    head of another size, a layer `source` lacks) and leaves of `source` without a place.
    """
    source, params = flatten(source), flatten(params)
    taken, left_out = dict(params), []
    for path in sorted(source.keys() | params.keys()):
        if path not in source:
            left_out.append(f"{path} (not there)")
        elif path not in params:
            left_out.append(f"{path} (no place for it)")
        elif source[path].shape != params[path].shape:
            left_out.append(f"{path} ({list(source[path].shape)} for {list(params[path].shape)})")
        else:
            taken[path] = jnp.asarray(source[path], params[path].dtype)
    return unflatten(taken), left_out
