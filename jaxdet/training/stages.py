"""One stage of training: joint training is a tuple of one, the paper's 4-step training a tuple of four."""

import dataclasses
import logging
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.models.detector import Detector, Params
from jaxdet.training.checkpoints import restore_params
from jaxdet.training.optimizer import LearningRate
from jaxdet.training.state import flatten, unflatten

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What its progress is called, which part of the parameters learns, for how long and how fast."""

    name: str
    trainable: Callable[[str], bool]  # path, as in "conv1_1/kernel" -> does it learn
    steps: int  # optimiser steps
    learning_rate: LearningRate


def init_params(detector: Detector, key: jax.Array, init_from: str | os.PathLike | None) -> Params:
    """Draws fresh parameters and copies over them what fits of another run's best checkpoint.

    Raises:
      InputError: where `init_from` holds no whole checkpoint.
    """
    fresh = jax.jit(detector.init)(key)
    if init_from is None:
        return fresh
    params, left_out = copy_fitting(restore_params(init_from, "best"), fresh)
    if left_out:
        log.warning("init_from %s: left out %s", init_from, ", ".join(left_out))
    return params


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
