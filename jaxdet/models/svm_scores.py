"""Scores of the SVMs on fc7 that R-CNN fits (2.3), and Fast R-CNN for comparison (5.4)."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxdet.checks import InputError
from jaxdet.types import Params

SCORINGS = ("svm", "softmax")
EXACT = lax.Precision.HIGHEST  # accelerators round float32 products; the SVMs and regressors were fitted without


def svm_scores(params: Params, fc7: jax.Array) -> jax.Array:
    """Return margins f32[...,K+1] of fc7 f32[...,F]; the first column, the background's, is 0 and not for reading.

    Raises:
      InputError: params hold no SVMs.
    """
    if "svm" not in params:
        raise InputError(
            "params must hold 'svm', got none; train with --config.head.scoring=svm, or score by "
            "--config.head.scoring=softmax."
        )
    scores = jnp.matmul(fc7, params["svm"]["kernel"], precision=EXACT)
    scores = scores + params["svm"]["bias"].reshape((1,) * (scores.ndim - 1) + (-1,))
    return jnp.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(1, 0)])
