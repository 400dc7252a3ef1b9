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
    logits: jax.Array,
    deltas: jax.Array,
    targets: RpnTargets,
    locations: jax.Array,
    *,
    sigma: float = 3.0,
    box_weight: float = 1.0,
    box_normaliser: str = "sampled",
) -> tuple[jax.Array, jax.Array]:
    """The region proposal network's two losses over the sampled anchors of one image (Faster R-CNN, eq. 1).

    The paper weighs the box loss by lambda / N_reg = 10 / (about 2,400 locations), py-faster-rcnn by 1 / 256 sampled
    anchors: nearly the same. A weight of 10 over the sampled anchors would be tenfold wrong.

    Args:
      logits: f32[N,2] (background, object).
      deltas: f32[N,4]
      targets: RpnTargets of the same anchors.
      locations: i32[] cells of the feature map that lie in the image, N_reg.
      sigma: where the smooth L1 becomes linear.
      box_weight: lambda.
      box_normaliser: 'sampled' (py-faster-rcnn) or 'locations' (the paper).

    Returns:
      (objectness_loss f32[], box_loss f32[]): the mean cross-entropy, and the weighted sum over positive anchors
      divided by the number of all sampled ones, or of the locations.
    """
    sampled = targets.label >= 0
    box_error = jnp.where((targets.label == 1)[:, None], deltas - targets.deltas, 0.0)
    count = _count(sampled)
    box_count = count if box_normaliser == "sampled" else jnp.maximum(locations, 1).astype(jnp.float32)
    class_loss = _cross_entropy(logits, jnp.maximum(targets.label, 0), sampled) / count
    return class_loss, box_weight * jnp.sum(smooth_l1(box_error, sigma=sigma)) / box_count


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
    count = _count(targets.valid)
    class_loss = _cross_entropy(logits, targets.label, targets.valid) / count
    return class_loss, jnp.sum(smooth_l1(box_error, sigma=sigma)) / count


def _count(counted):
    return jnp.maximum(jnp.sum(counted, dtype=jnp.float32), 1.0)


def _cross_entropy(logits, label, counted):
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    cross_entropy = -jnp.take_along_axis(log_probability, label[:, None], axis=1)[:, 0]
    return jnp.sum(jnp.where(counted, cross_entropy, 0.0))
