"""Initial parameters taken from another run or from pretrained weights."""

import logging

import jax.numpy as jnp

from jaxdet.checks import InputError
from jaxdet.training.state import flatten, unflatten
from jaxdet.types import Params

log = logging.getLogger(__name__)


def init_from(source: Params, params: Params) -> Params:
    """Return `params` overwritten by every leaf of `source` that fits; log which layers stay random, and why.

    Raises:
      InputError: most kernels of `source` do not fit.
    """
    check_fits(source, params)
    params, missing, skipped = copy_matching(source, params)
    if missing:
        log.info("not in the weights to start from, so initialised at random: %s", ", ".join(missing))
    if skipped:
        log.warning("the weights to start from: left out %s", ", ".join(skipped))
    return params


def check_fits(source: Params, params: Params) -> None:
    """Raise InputError where most kernels of `source` do not fit; the shapes of `params` are enough."""
    expected = {path: list(leaf.shape) for path, leaf in flatten(params).items()}
    kernels = {path: list(leaf.shape) for path, leaf in flatten(source).items() if path.endswith("/kernel")}
    misfits = [path for path, shape in kernels.items() if expected.get(path) != shape]
    # A head of another size is usual; another backbone is a mistake.
    if 2 * len(misfits) > len(kernels) or not kernels:
        first = "".join(f" ({path} is {kernels[path]}, not {expected.get(path, 'there')})" for path in misfits[:1])
        raise InputError(
            f"the weights to start from must fit the net, got {len(kernels) - len(misfits)} of {len(kernels)} kernels "
            f"that do{first}; give net the width that they have, or start from others."
        )


def copy_matching(source: Params, params: Params) -> tuple[Params, list[str], list[str]]:
    """Copy every leaf of `source` that `params` has under the same path in the same shape.

    Returns:
      The parameters; the layers with leaves that `source` lacks; a description of each leaf of `source` that has
      another shape or no place. All else keeps its value in `params`.
    """
    source, params = flatten(source), flatten(params)
    copied, skipped = dict(params), []
    missing = dict.fromkeys(path.rpartition("/")[0] for path in sorted(params.keys() - source.keys()))
    for path in sorted(source):
        if path not in params:
            skipped.append(f"{path} (no place for it)")
        elif source[path].shape != params[path].shape:
            skipped.append(f"{path} ({list(source[path].shape)} for {list(params[path].shape)})")
        else:
            copied[path] = jnp.asarray(source[path], params[path].dtype)
    return unflatten(copied), list(missing), skipped
