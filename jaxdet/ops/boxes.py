"""Boxes `[x1, y1, x2, y2]`: overlap, regression targets, and the image's border."""

import jax
import jax.numpy as jnp

_MIN_SIDE = 1e-3  # pixels; what `encode` takes for a side of zero, so that its logarithm and quotient stay finite


def pairwise_iou(boxes_a: jax.Array, boxes_b: jax.Array) -> jax.Array:
    """Intersection over union of every box of one set with every box of another.

    Args:
      boxes_a: f32[N,4] pixels.
      boxes_b: f32[M,4] pixels.

    Returns:
      f32[N,M] in 0..1; 0 where either box is empty or inverted.
    """
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
    """Expresses boxes relative to anchors as (dx, dy, dw, dh) (R-CNN, appendix C; Faster R-CNN, eq. 2).

    Args:
      boxes: f32[...,4] pixels.
      anchors: f32[...,4] pixels, of the same rank.

    Returns:
      f32[...,4] deltas, finite for any finite boxes: sides below 0.001 pixels count as 0.001.
    """
    centre, size = _centre_and_size(boxes)
    anchor_centre, anchor_size = _centre_and_size(anchors)
    size = jnp.maximum(size, _MIN_SIDE)
    anchor_size = jnp.maximum(anchor_size, _MIN_SIDE)
    return jnp.concatenate([(centre - anchor_centre) / anchor_size, jnp.log(size / anchor_size)], axis=-1)


def decode(deltas: jax.Array, anchors: jax.Array, *, max_log_scale: float | None = None) -> jax.Array:
    """Applies deltas to anchors: the exact inverse of `encode`, without the original code's extra pixel.

    Args:
      deltas: f32[...,4] (dx, dy, dw, dh).
      anchors: f32[...,4] pixels, of the same rank.
      max_log_scale: upper limit of dw and dh (torchvision: log(1000 / 16)); None, as in the papers, limits nothing.

    Returns:
      f32[...,4] boxes in pixels, not clipped to the image.
    """
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
    """Moves the corners of boxes into the image.

    Args:
      boxes: f32[...,4] pixels.
      image_size: f32[2] (height, width), in this order although boxes are x first.

    Returns:
      f32[...,4] with 0 <= x <= width and 0 <= y <= height.
    """
    limit = _corner_limit(image_size, boxes.ndim)
    return jnp.clip(boxes, jnp.zeros_like(limit), limit)


def inside(boxes: jax.Array, image_size: jax.Array) -> jax.Array:
    """Tells which boxes lie wholly in the image, touching its border allowed (Faster R-CNN, 3.3).

    Args:
      boxes: f32[N,4] pixels.
      image_size: f32[2] (height, width).

    Returns:
      bool[N]
    """
    limit = _corner_limit(image_size, boxes.ndim)
    return jnp.all((boxes >= 0.0) & (boxes <= limit), axis=-1)


def _corner_limit(image_size: jax.Array, ndim: int) -> jax.Array:
    height, width = image_size[0], image_size[1]
    return jnp.stack([width, height, width, height]).reshape((1,) * (ndim - 1) + (4,))
