"""R-CNN's box regressors: one ridge regression a class on pool5 (R-CNN, 2.3 and appendix C)."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg

logger = logging.getLogger(__name__)

NORM = 20.0  # the features are scaled to this mean length, which the penalty is meant for
PENALTY = 1000.0  # lambda
BLOCK = 1024  # examples multiplied at a time, and columns of a strip of their products

Example = tuple[np.ndarray, np.ndarray, np.ndarray]  # what box_examples gives for an image


def fit_bbox_ridge(
    pool5: Sequence[np.ndarray], examples: Sequence[Example], *, mean_norm: float, label: int, name: str
) -> dict[str, np.ndarray]:
    """Fits the four deltas from a region to its object, of one class, as an affine map of the region's pool5.

    As in the original the deltas are centred, and a column of ones is fitted and penalised like the features. The
    original also whitens the deltas; with one penalty for all four that cancels when it is undone, so it is left out.

    Memory holds the products of the features with each other in float64: (P5 + 1)^2 x 8 bytes,
    0.68 GB for AlexNet's 9,216 features and 5.0 GB for VGG16's 25,088. Beside them it takes some 44 kB a feature, as
    measured at 2,304 to 9,216 of them: 0.4 GB for AlexNet, by that rule 1.1 GB for VGG16.

    Args:
      pool5: [i] -> f32[m,P5] features of the examples of image i, flattened.
      examples: [i] -> box_examples of its regions.
      mean_norm: mean length of pool5 over regions of all kinds.
      label: 1..K, the class.
      name: the class's, for the log.

    Returns:
      {"kernel": f32[P5,4], "bias": f32[4]}, scaling and centring folded in: pool5 @ kernel + bias are deltas for ops
      decode. A class without examples gets 0, so its boxes stay; the log names it.

    Raises:
      ValueError: pool5 and examples differ in number.
    """
    got, wanted = [len(rows) for rows in pool5], [len(rows) for rows, _, _ in examples]
    if got != wanted:
        raise ValueError(
            f"fit_bbox_ridge: pool5 must have the {sum(wanted)} rows of the examples, image by image, got {sum(got)}; "
            "store pool5 of the rows that box_examples names."
        )
    width, scale = pool5[0].shape[1], NORM / mean_norm
    deltas = np.concatenate([deltas[labels == label] for _, labels, deltas in examples])
    if not len(deltas):
        logger.warning("%s has no box regressor: no region overlaps its objects enough", name)
        return {"kernel": np.zeros((width, 4), np.float32), "bias": np.zeros(4, np.float32)}
    mean = deltas.mean(axis=0)
    weights = _ridge(_blocks(pool5, examples, label, scale, mean), width + 1)
    logger.info("%s: box regressor fitted to %d regions", name, len(deltas))
    return {"kernel": np.float32(weights[:-1] * scale), "bias": np.float32(weights[-1] + mean)}


def _ridge(blocks, width):
    """The weights f64[width,4] that minimise |x w - y|^2 + PENALTY |w|^2 over all blocks (x, y)."""
    products, with_targets = np.zeros((width, width)), np.zeros((width, 4))
    np.fill_diagonal(products, PENALTY)
    for x, y in blocks:
        with_targets += x.T @ y
        for start in range(0, width, BLOCK):  # in strips, or the sum would need twice the memory
            products[start : start + BLOCK] += x[:, start : start + BLOCK].T @ x
    # Of a symmetric matrix the transpose is the same, and LAPACK factors its column-major form in place.
    factor = scipy.linalg.cho_factor(products.T, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, with_targets, check_finite=False)


def _blocks(pool5, examples, label, scale, mean) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The examples of a class, some thousand at a time: scaled features with a column of ones, and centred deltas."""
    waiting, count = [], 0
    for features, (_, labels, deltas) in zip(pool5, examples, strict=True):
        mine = labels == label
        waiting.append((features[mine], deltas[mine]))
        count += mine.sum()
        if count >= BLOCK:
            yield _block(waiting, scale, mean)
            waiting, count = [], 0
    if count:
        yield _block(waiting, scale, mean)


def _block(waiting, scale, mean):
    features, deltas = (np.concatenate(parts).astype(np.float64) for parts in zip(*waiting, strict=True))
    return np.pad(features * scale, ((0, 0), (0, 1)), constant_values=1.0), deltas - mean
