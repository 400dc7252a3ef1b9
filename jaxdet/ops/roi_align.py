"""RoIAlign: bilinear samples averaged over a fixed grid of bins (Mask R-CNN, 3)."""

import jax
import jax.numpy as jnp
from jax import lax


def roi_align(
    features,
    boxes,
    *,
    feature_size=None,
    output_size: int = 7,
    stride: float = 16,
    samples: int = 2,
    aligned: bool = True,
):
    """Averages `samples` x `samples` bilinear samples in each bin of each box (Mask R-CNN, 3; as torchvision).

    Args:
      features: float[h,w,C]; `stride` image pixels a cell.
      boxes: f32[R,4] in image pixels. No gradient flows to them.
      feature_size: (rows, columns) of the features that belong to the image, Python or traced integers; what lies
        beyond is never read. All of them by default.
      output_size: bins along each side.
      stride: image pixels a cell.
      samples: samples along each side of a bin.
      aligned: True puts the centre of cell i at (i + 0.5) * stride. False is the original, half a cell off, which also
        makes every box at least one cell long.

    Returns: [R,output_size,output_size,C] of the dtype of features; finite for a box of zeros (an invalid slot).

    A sample up to one cell outside the features takes the border's value, one further out is 0.
    """
    rows, columns = features.shape[:2] if feature_size is None else feature_size
    boxes = lax.stop_gradient(boxes) / stride - (0.5 if aligned else 0.0)
    grid = (output_size, samples, aligned)
    vertical = _axis_samples(boxes[:, 1], boxes[:, 3], rows, *grid)
    horizontal = _axis_samples(boxes[:, 0], boxes[:, 2], columns, *grid)
    return _weighted_cells(features, vertical, horizontal)


def _axis_samples(start, end, size, bins, samples, aligned):
    """Cells i32[R,bins,2*samples] and weights f32, alike, whose weighted sum is a bin's mean along one axis."""
    length = end - start if aligned else jnp.maximum(end - start, 1.0)
    step = (jnp.arange(bins * samples, dtype=jnp.float32) + 0.5) / (bins * samples)
    at = start[:, None] + step[None] * length[:, None]
    last = jnp.asarray(size, jnp.int32) - 1
    inside = (at >= -1.0) & (at <= (last + 1).astype(jnp.float32))
    at = jnp.clip(at, 0.0, last.astype(jnp.float32))
    low = at.astype(jnp.int32)
    share = at - low.astype(jnp.float32)
    cells = jnp.stack([low, jnp.minimum(low + 1, last)], axis=-1)
    weights = jnp.where(inside[..., None], jnp.stack([1.0 - share, share], axis=-1), 0.0) / samples
    shape = (-1, bins, 2 * samples)
    return cells.reshape(shape), weights.reshape(shape)


@jax.custom_vjp
def _weighted_cells(features, vertical, horizontal):
    height, width, channels = features.shape
    flat = features.reshape(height * width, channels)

    def one_box(box):
        (row, row_weight), (column, column_weight) = box
        total = jnp.zeros((len(row), len(column), channels), jnp.float32)
        # One fused sum over gathers: 7 times faster on CPU than gathering all cells and reducing.
        for i in range(row.shape[1]):
            for j in range(column.shape[1]):
                cells = flat[row[:, i, None] * width + column[None, :, j]].astype(jnp.float32)
                total += cells * (row_weight[:, i, None] * column_weight[None, :, j])[..., None]
        return total.astype(features.dtype)

    return lax.map(one_box, (vertical, horizontal))


def _forward(features, vertical, horizontal):
    like = jnp.zeros((*features.shape[:2], 0), features.dtype)  # shape and dtype, without keeping the features
    return _weighted_cells(features, vertical, horizontal), (like, vertical, horizontal)


def _backward(residuals, g):
    like, vertical, horizontal = residuals
    height, width = like.shape[:2]

    def add_box(gradient, box):
        (row, row_weight), (column, column_weight), g = box
        cells = row[:, None, :, None] * width + column[None, :, None, :]
        weights = row_weight[:, None, :, None] * column_weight[None, :, None, :]
        return gradient.at[cells].add(g[:, :, None, None].astype(jnp.float32) * weights[..., None]), None

    gradient = jnp.zeros((height * width, g.shape[-1]), jnp.float32)
    gradient, _ = lax.scan(add_box, gradient, (vertical, horizontal, g))
    return gradient.reshape(height, width, -1).astype(like.dtype), None, None


_weighted_cells.defvjp(_forward, _backward)
