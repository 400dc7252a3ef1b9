"""The losses of the two stages (Fast R-CNN, 2.3; Faster R-CNN, 3.1.2). Without a sampled slot they are exactly 0."""

import jax
import jax.numpy as jnp

from jaxdet.types import RoiTargets, RpnTargets


def smooth_l1(x: jax.Array, *, sigma: float) -> jax.Array:
    """A parabola near 0 that goes over into |x| - 1 / (2 sigma^2) at |x| = 1 / sigma^2 (Fast R-CNN, eq. 3).

    Args:
      x: f32[...] differences.
      sigma: py-faster-rcnn's; torchvision's beta is 1 / sigma^2.

    Returns:
      f32[...]; value and gradient are finite wherever x is.
    """
    size = jnp.abs(x)
    # not where(size < beta, x * x, ...): squaring a large x would make the gradient NaN
    near = jnp.minimum(size, 1.0 / sigma**2)
    return 0.5 * sigma**2 * near * near + (size - near)


def rpn_loss(
    logits: jax.Array, deltas: jax.Array, targets: RpnTargets, *, sigma: float = 3.0
) -> tuple[jax.Array, jax.Array]:
    """The region proposal network's two losses over the sampled anchors of one image.

    Args:
      logits: f32[N,2] (background, object).
      deltas: f32[N,4]
      targets: RpnTargets of the same anchors.
      sigma: where the smooth L1 becomes linear.

    Returns:
      (objectness_loss f32[], box_loss f32[]): the mean cross-entropy, and the sum over positive anchors divided by the
      number of all sampled ones.
    """
    sampled = targets.label >= 0
    box_error = jnp.where((targets.label == 1)[:, None], deltas - targets.deltas, 0.0)
    return _losses(logits, jnp.maximum(targets.label, 0), sampled, box_error, sigma)


def roi_loss(
    logits: jax.Array, deltas: jax.Array, targets: RoiTargets, *, sigma: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """The head's two losses over the sampled RoIs of one image.

    Args:
      logits: f32[R,K+1], background first.
      deltas: f32[R,K+1,4], normalised as the targets are; only those of the RoI's own class are compared.
      targets: RoiTargets of the same RoIs.
      sigma: where the smooth L1 becomes linear.

    Returns:
      (class_loss f32[], box_loss f32[]): the mean cross-entropy, and the sum over positive RoIs divided by the number
      of all valid ones.
    """
    own = jnp.take_along_axis(deltas, targets.label[:, None, None], axis=1)[:, 0, :]  # [R,4]
    positive = targets.valid & (targets.label > 0)
    box_error = jnp.where(positive[:, None], own - targets.deltas, 0.0)
    return _losses(logits, targets.label, targets.valid, box_error, sigma)


def _losses(logits, label, counted, box_error, sigma):
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    cross_entropy = -jnp.take_along_axis(log_probability, label[:, None], axis=1)[:, 0]
    count = jnp.maximum(jnp.sum(counted, dtype=jnp.float32), 1.0)
    class_loss = jnp.sum(jnp.where(counted, cross_entropy, 0.0)) / count
    return class_loss, jnp.sum(smooth_l1(box_error, sigma=sigma)) / count
