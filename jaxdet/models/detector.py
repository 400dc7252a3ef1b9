"""What every system of the family is to the rest of the code: three pure functions."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdet.types import Batch, Detections, Metrics, Params


@dataclasses.dataclass(frozen=True)
class Detector:
    """init(key) -> params; loss(params, batch, key) -> (f32[], metrics); predict(params, batch) -> Detections.

    All three are pure and may be jitted. `loss` is the mean over the batch's images; `key` is the key of the optimiser
    step. `predict` returns Detections with a leading batch axis, boxes in the pixels of the original images.
    """

    init: Callable[[jax.Array], Params]
    loss: Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]
    predict: Callable[[Params, Batch], Detections]


def keys_of(key: jax.Array, batch: Batch) -> jax.Array:
    """Three keys an image [B,3], for anchors, RoIs and dropout: they depend on step and image, not on the batch."""
    return jax.vmap(lambda image: jax.random.split(jax.random.fold_in(key, image), 3))(batch.image_id)


def image_mean(losses: jax.Array, batch: Batch) -> jax.Array:
    """The mean of losses f32[B] over the valid images."""
    valid = batch.image_valid.astype(jnp.float32)
    return jnp.sum(losses * valid) / jnp.maximum(jnp.sum(valid), 1.0)
