"""Boxes `[x1, y1, x2, y2]`: overlap, regression targets, and the image's border."""

import jax
import jax.numpy as jnp

from jaxdet.checks import check_array

_MIN_SIDE = 1e-3  # pixels; `encode` replaces shorter sides by this, so that logarithm and quotient stay finite


def pairwise_iou(boxes_a: jax.Array, boxes_b: jax.Array) -> jax.Array:
    """Return the intersection over union of every box of one set with every box of another.

    Args:
      boxes_a: f32[N,4] pixels.
      boxes_b: f32[M,4] pixels.

    Returns:
      f32[N,M] in 0..1; 0 where either box is empty or inverted.
    """
    cure = "pass one image's boxes; vmap over images"
    check_array("pairwise_iou: boxes_a", boxes_a, shape=("N", 4), dtype=jnp.float32, cure=cure)
    check_array("pairwise_iou: boxes_b", boxes_b, shape=("M", 4), dtype=jnp.float32, cure=cure)
    a = boxes_a[:, None, :]  # [N,1,4]
    b = boxes_b[None, :, :]  # [1,M,4]
    width = jnp.minimum(a[..., 2], b[..., 2]) - jnp.maximum(a[..., 0], b[..., 0])
    height = jnp.minimum(a[..., 3], b[..., 3]) - jnp.maximum(a[..., 1], b[..., 1])
    intersection = jnp.maximum(width, 0.0) * jnp.maximum(height, 0.0)  # [N,M]
    union = _area(a) + _area(b) - intersection
    return jnp.where(intersection > 0.0, intersection / union, 0.0)


def _area(boxes: jax.Array) -> jax.Array:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def encode(boxes: jax.Array, anchors: jax.Array) -> jax.Array:
    """Return boxes relative to anchors, as (dx, dy, dw, dh) (R-CNN, appendix C; Faster R-CNN, eq. 2).

    Args:
      boxes: f32[...,4] pixels.
      anchors: f32[...,4] pixels, of the same rank.

    Returns:
      f32[...,4] deltas, finite for any finite boxes: sides below 0.001 pixels count as 0.001.
    """
    _check_fours("encode: boxes", boxes)
    _check_fours("encode: anchors", anchors)
    centre, size = _centre_and_size(boxes)
    anchor_centre, anchor_size = _centre_and_size(anchors)
    size = jnp.maximum(size, _MIN_SIDE)
    anchor_size = jnp.maximum(anchor_size, _MIN_SIDE)
    return jnp.concatenate([(centre - anchor_centre) / anchor_size, jnp.log(size / anchor_size)], axis=-1)


def decode(deltas: jax.Array, anchors: jax.Array, *, max_log_scale: float | None = None) -> jax.Array:
    """Return the boxes that deltas make of anchors: the exact inverse of `encode`, without py-faster-rcnn's `+1`.

    Args:
      deltas: f32[...,4] (dx, dy, dw, dh).
      anchors: f32[...,4] pixels, of the same rank.
      max_log_scale: upper limit of dw and dh (torchvision: log(1000 / 16)); None, as in the papers, limits nothing.

    Returns:
      f32[...,4] boxes in pixels, not clipped to the image.
    """
    _check_fours("decode: deltas", deltas)
    _check_fours("decode: anchors", anchors)
    anchor_centre, anchor_size = _centre_and_size(anchors)
    log_scale = deltas[..., 2:]
    if max_log_scale is not None:
        log_scale = jnp.minimum(log_scale, max_log_scale)
    centre = anchor_centre + deltas[..., :2] * anchor_size
    half = 0.5 * anchor_size * jnp.exp(log_scale)
    return jnp.concatenate([centre - half, centre + half], axis=-1)


def _centre_and_size(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def clip(boxes: jax.Array, image_size: jax.Array) -> jax.Array:
    """Return boxes whose corners are moved into the image.

    Args:
      boxes: f32[...,4] pixels.
      image_size: f32[2] (height, width), in this order although boxes are x first.

    Returns:
      f32[...,4] with 0 <= x <= width and 0 <= y <= height.
    """
    _check_fours("clip: boxes", boxes)
    _check_image_size("clip", image_size)
    limit = _corner_limit(image_size, boxes.ndim)
    return jnp.clip(boxes, jnp.zeros_like(limit), limit)


def inside(boxes: jax.Array, image_size: jax.Array) -> jax.Array:
    """Return a mask of the boxes that lie wholly in the image; touching its border is allowed (Faster R-CNN, 3.3).

    Args:
      boxes: f32[N,4] pixels.
      image_size: f32[2] (height, width).

    Returns:
      bool[N]
    """
    cure = "pass one image's boxes; vmap over images"
    check_array("inside: boxes", boxes, shape=("N", 4), dtype=jnp.float32, cure=cure)
    _check_image_size("inside", image_size)
    limit = _corner_limit(image_size, boxes.ndim)
    return jnp.all((boxes >= 0.0) & (boxes <= limit), axis=-1)


def _corner_limit(image_size: jax.Array, ndim: int) -> jax.Array:
    height, width = image_size[0], image_size[1]
    return jnp.stack([width, height, width, height]).reshape((1,) * (ndim - 1) + (4,))


def _check_fours(what: str, array: jax.Array) -> None:
    """Raise ValueError unless the array is f32[...,4]."""
    leading = ("...",) * max(jnp.ndim(array) - 1, 0)
    check_array(what, array, shape=(*leading, 4), dtype=jnp.float32, cure="put the four coordinates last")


def _check_image_size(op: str, image_size: jax.Array) -> None:
    cure = "pass (height, width) of one image; vmap over images"
    check_array(f"{op}: image_size", image_size, shape=(2,), dtype=jnp.float32, cure=cure)
