"""The Detector interface that every system of the family implements: init, loss, predict."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.types import Batch, Detections, Metrics, Params


@dataclasses.dataclass(frozen=True)
class Detector:
    """Three pure functions, all of which may be jitted.

    init(key) -> params
    loss(params, batch, key) -> (f32[], metrics): the mean over the batch's images; `key` is that of the optimiser step
    predict(params, batch) -> Detections with a leading batch axis, boxes in pixels of the original images
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]
    predict: Callable[[Params, Batch], Detections]


def per_image_keys(key: jax.Array, batch: Batch) -> jax.Array:
    """Return three keys per row, [B,3]; they depend on the step's key and the row's random_id, not on the batch.

    The first is for sampling anchors (R-CNN, which has none: for mirroring crops), the second for sampling RoIs, the
    third for dropout.
    """
    return jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number), 3))(batch.random_id)


def image_mean(losses: jax.Array, batch: Batch) -> jax.Array:
    """Return the mean f32[] of losses f32[B] over the valid images; 0 where none is valid."""
    valid = batch.image_valid.astype(jnp.float32)
    return jnp.sum(losses * valid) / jnp.maximum(jnp.sum(valid), 1.0)
