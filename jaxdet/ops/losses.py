"""The losses of the two stages (Fast R-CNN, 2.3; Faster R-CNN, 3.1.2). Without a sampled slot they are exactly 0."""

import jax
import jax.numpy as jnp

from jaxdet.checks import check_array
from jaxdet.types import RoiTargets, RpnTargets


def smooth_l1(x: jax.Array, *, sigma: float) -> jax.Array:
    """Return 0.5 sigma^2 x^2 where |x| < 1 / sigma^2, else |x| - 0.5 / sigma^2 (Fast R-CNN, eq. 3).

    Args:
      x: f32[...] differences.
      sigma: as in py-faster-rcnn; torchvision's beta is 1 / sigma^2.

    Returns:
      f32[...]; value and gradient are finite wherever x is.
    """
    check_array("smooth_l1: x", x, shape=jnp.shape(x), dtype=jnp.float32, cure="pass float32 differences")
    size = jnp.abs(x)
    # Not where(size < beta, x * x, ...): squaring a large x would make the gradient NaN.
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
    """Return the region proposal network's two losses over the sampled anchors of one image (Faster R-CNN, eq. 1).

    The paper weighs the box loss by lambda / N_reg = 10 / (about 2,400 locations), py-faster-rcnn by 1 / 256 sampled
    anchors: nearly the same. A weight of 10 over the sampled anchors would be tenfold wrong.

    Args:
      logits: f32[N,2] (background, object).
      deltas: f32[N,4]
      targets: RpnTargets of the same anchors.
      locations: i32[] cells of the feature map that lie on the image, N_reg.
      sigma: smooth L1 turns linear at 1 / sigma^2.
      box_weight: lambda.
      box_normaliser: 'sampled' (py-faster-rcnn) or 'locations' (the paper).

    Returns:
      (objectness_loss f32[], box_loss f32[]): the mean cross-entropy over the sampled anchors, and box_weight times the
      sum over positive anchors, divided by the number of sampled anchors or of locations.
    """
    cure = "pass the outputs for one image; vmap over images"
    check_array("rpn_loss: logits", logits, shape=("N", 2), dtype=jnp.float32, cure=cure)
    num_anchors = logits.shape[0]
    check_array("rpn_loss: deltas", deltas, shape=(num_anchors, 4), dtype=jnp.float32, cure=cure)
    cure = "pass rpn_targets(...) of the same anchors"
    check_array("rpn_loss: targets.label", targets.label, shape=(num_anchors,), dtype=jnp.int32, cure=cure)
    check_array("rpn_loss: targets.deltas", targets.deltas, shape=(num_anchors, 4), dtype=jnp.float32, cure=cure)
    check_array("rpn_loss: locations", locations, shape=(), dtype=jnp.int32, cure="pass rows * columns of the image")

    sampled = targets.label >= 0
    box_error = jnp.where((targets.label == 1)[:, None], deltas - targets.deltas, 0.0)
    count = _count(sampled)
    box_count = count if box_normaliser == "sampled" else jnp.maximum(locations, 1).astype(jnp.float32)
    class_loss = _cross_entropy(logits, jnp.maximum(targets.label, 0), sampled) / count
    return class_loss, box_weight * jnp.sum(smooth_l1(box_error, sigma=sigma)) / box_count


def roi_loss(
    logits: jax.Array, deltas: jax.Array, targets: RoiTargets, *, sigma: float = 1.0, box_weight: float = 1.0
) -> tuple[jax.Array, jax.Array]:
    """Return the head's two losses over the sampled RoIs of one image (Fast R-CNN, eq. 1).

    Args:
      logits: f32[R,K+1], background first.
      deltas: f32[R,K+1,4], normalised as the targets are; only those of the RoI's own class are compared.
      targets: RoiTargets of the same RoIs.
      sigma: smooth L1 turns linear at 1 / sigma^2.
      box_weight: lambda.

    Returns:
      (class_loss f32[], box_loss f32[]): the mean cross-entropy over the valid RoIs, and box_weight times the sum over
      positive RoIs, divided by the number of valid ones.
    """
    cure = "pass the outputs for one image; vmap over images"
    check_array("roi_loss: logits", logits, shape=("R", "K+1"), dtype=jnp.float32, cure=cure)
    num_rois, num_labels = logits.shape
    check_array("roi_loss: deltas", deltas, shape=(num_rois, num_labels, 4), dtype=jnp.float32, cure=cure)
    cure = "pass roi_targets(...) of the same RoIs"
    check_array("roi_loss: targets.label", targets.label, shape=(num_rois,), dtype=jnp.int32, cure=cure)
    check_array("roi_loss: targets.deltas", targets.deltas, shape=(num_rois, 4), dtype=jnp.float32, cure=cure)
    check_array("roi_loss: targets.valid", targets.valid, shape=(num_rois,), dtype=jnp.bool_, cure=cure)

    own = jnp.sum(jnp.where(_one_hot(targets.label, num_labels)[..., None], deltas, 0.0), axis=1)  # [R,4]
    positive = targets.valid & (targets.label > 0)
    box_error = jnp.where(positive[:, None], own - targets.deltas, 0.0)
    count = _count(targets.valid)
    class_loss = _cross_entropy(logits, targets.label, targets.valid) / count
    return class_loss, box_weight * jnp.sum(smooth_l1(box_error, sigma=sigma)) / count


def _count(mask: jax.Array) -> jax.Array:
    """Return the number of True values, at least 1, as f32[]."""
    return jnp.maximum(jnp.sum(mask, dtype=jnp.float32), 1.0)


def _cross_entropy(logits: jax.Array, label: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the sum of the cross-entropies of the rows where `mask` is True."""
    log_probability = jax.nn.log_softmax(logits, axis=-1)
    cross_entropy = -jnp.sum(jnp.where(_one_hot(label, logits.shape[1]), log_probability, 0.0), axis=1)
    return jnp.sum(jnp.where(mask, cross_entropy, 0.0))


def _one_hot(label: jax.Array, num_labels: int) -> jax.Array:
    """Return a mask bool[N,num_labels] of each row's label: sums over it need no gather, their gradients no scatter."""
    return label[:, None] == jnp.arange(num_labels, dtype=label.dtype)[None]
