"""R-CNN's box regressors: one ridge regression per class on pool5 (R-CNN, appendix C)."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import scipy.linalg

from jaxdet.types import Indexed

log = logging.getLogger(__name__)

NORM = 20.0  # the features are scaled to this mean length, for which PENALTY is chosen
PENALTY = 1000.0  # lambda
BLOCK = 1024  # examples multiplied at a time, and columns of a strip of their products

Example = tuple[np.ndarray, np.ndarray, np.ndarray]  # box_examples of one image: rows, labels, deltas


def fit_bbox_ridge(
    pool5: Indexed[np.ndarray], examples: Indexed[Example], *, mean_norm: float, label: int, name: str
) -> dict[str, np.ndarray]:
    """Fit the four deltas from a region to its object, of one class, as an affine map of the region's pool5.

    As in the original the deltas are centred, and a column of ones is fitted and penalised like the features. The
    original also whitens the deltas; with one penalty for all four this cancels when it is undone, so it is left out.

    Memory holds the products of the features with each other in float64: (P5 + 1)^2 x 8 bytes, 0.68 GB for AlexNet's
    9,216 features and 5.0 GB for VGG16's 25,088. Another 44 kB per feature were measured at 2,304 to 9,216 features:
    0.4 GB for AlexNet, and by extrapolation 1.1 GB for VGG16.

    Args:
      pool5: [i] -> f32[m,P5] features of the examples of image i, flattened.
      examples: [i] -> box_examples of its regions.
      mean_norm: mean length of pool5 over regions of all kinds.
      label: 1..K, the class.
      name: of the class, for the log.

    Returns:
      {"kernel": f32[P5,4], "bias": f32[4]}, scaling and centring folded in: pool5 @ kernel + bias are deltas for ops
      decode. A class without examples gets 0, so that its boxes do not change; this is logged.

    Raises:
      ValueError: pool5 and examples differ in number.
    """
    got, wanted = [len(rows) for rows in pool5], [len(rows) for rows, _, _ in examples]
    if got != wanted:
        raise ValueError(
            f"fit_bbox_ridge: pool5 must have the {sum(wanted)} rows of the examples, image by image, got {sum(got)}; "
            "store pool5 of the rows that box_examples returns."
        )
    width, scale = pool5[0].shape[1], NORM / mean_norm
    deltas = np.concatenate([deltas[labels == label] for _, labels, deltas in examples])
    if not len(deltas):
        log.warning("%s has no box regressor: no region overlaps its objects enough", name)
        return {"kernel": np.zeros((width, 4), np.float32), "bias": np.zeros(4, np.float32)}
    mean = deltas.mean(axis=0)
    weights = _ridge(_blocks(pool5, examples, label, scale, mean), width + 1)
    log.info("%s: box regressor fitted to %d regions", name, len(deltas))
    return {"kernel": (weights[:-1] * scale).astype(np.float32), "bias": (weights[-1] + mean).astype(np.float32)}


def _ridge(blocks: Iterable[tuple[np.ndarray, np.ndarray]], width: int) -> np.ndarray:
    """Return the weights f64[width,4] that minimise |x w - y|^2 + PENALTY |w|^2 over all blocks (x, y)."""
    # Sum x^T x + PENALTY I and x^T y.
    products, with_targets = np.zeros((width, width)), np.zeros((width, 4))
    np.fill_diagonal(products, PENALTY)
    for x, y in blocks:
        with_targets += x.T @ y
        for start in range(0, width, BLOCK):  # in strips, or the sum would need twice the memory
            products[start : start + BLOCK] += x[:, start : start + BLOCK].T @ x

    # Solve by Cholesky. The transpose of a symmetric matrix is the same, in the column-major form that LAPACK
    # factorises in place.
    factor = scipy.linalg.cho_factor(products.T, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, with_targets, check_finite=False)


def _blocks(
    pool5: Indexed[np.ndarray], examples: Indexed[Example], label: int, scale: float, mean: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the examples of a class, about BLOCK at a time: scaled features with a column of ones, centred deltas."""
    pending, count = [], 0
    for features, (_, labels, deltas) in zip(pool5, examples, strict=True):
        of_class = labels == label
        pending.append((features[of_class], deltas[of_class]))
        count += of_class.sum()
        if count >= BLOCK:
            yield _block(pending, scale, mean)
            pending, count = [], 0
    if count:
        yield _block(pending, scale, mean)


def _block(
    pending: Sequence[tuple[np.ndarray, np.ndarray]], scale: float, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    features, deltas = (np.concatenate(parts).astype(np.float64) for parts in zip(*pending, strict=True))
    return np.pad(features * scale, ((0, 0), (0, 1)), constant_values=1.0), deltas - mean
