"""The two kinds of loss and their gradients (Fast R-CNN, eq. 2 and 3)."""

import numpy as np


def cross_entropy(logits, label):
    """Return the mean over rows of -log softmax[label], and its gradient [n,k]."""
    rows = np.arange(len(logits))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = shifted / shifted.sum(axis=1, keepdims=True)
    gradient = probability.copy()
    gradient[rows, label] -= 1
    return -np.log(probability[rows, label]).mean(), gradient / len(logits)


def smooth_l1(predicted, target, *, sigma, normaliser):
    """Return the sum over all coordinates divided by the normaliser, and its gradient; quadratic below 1 / sigma^2."""
    error = predicted - target
    near = np.abs(error) < 1 / sigma**2
    loss = np.where(near, 0.5 * sigma**2 * error**2, np.abs(error) - 0.5 / sigma**2)
    return loss.sum() / normaliser, np.where(near, sigma**2 * error, np.sign(error)) / normaliser
