"""Layers in plain float64 numpy, written from Caffe's definitions: CHW arrays, OIHW kernels."""

import numpy as np


def conv_relu(x, kernel, bias, *, stride=1, padding=0, groups=1):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    side = kernel.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    parts = [
        np.einsum("chwij,ocij->ohw", part, weight)
        for part, weight in zip(np.split(windows, groups), np.split(kernel, groups), strict=True)
    ]
    return np.maximum(np.concatenate(parts) + bias[:, None, None], 0)


def max_pool(x, *, side, padding=0):
    """Pool with stride 2; windows that the border cuts are pooled too."""
    outputs = [-(-(n + 2 * padding - side) // 2) + 1 for n in x.shape[1:]]
    far = [2 * (n - 1) + side - padding - size for n, size in zip(outputs, x.shape[1:], strict=True)]
    x = np.pad(x, ((0, 0), *((padding, max(0, n)) for n in far)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::2, ::2].max((3, 4))


def lrn_across(x, *, size, alpha, k=1.0):
    squares = np.pad(x**2, ((size // 2, size // 2), (0, 0), (0, 0)))
    total = np.lib.stride_tricks.sliding_window_view(squares, size, axis=0).sum(-1)
    return x / (k + alpha / size * total) ** 0.75


def lrn_within(x, *, size, alpha):
    squares = np.pad(x**2, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    total = np.lib.stride_tricks.sliding_window_view(squares, (size, size), axis=(1, 2)).sum((3, 4))
    return x / (1 + alpha / size**2 * total) ** 0.75


def vgg16(x, array):
    """array(layer) -> kernel, bias."""
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        x = max_pool(x, side=2) if block > 1 else x
        for i in range(1, depth + 1):
            x = conv_relu(x, *array(f"conv{block}_{i}"), padding=1)
    return x


def zf(x, array):
    x = lrn_within(conv_relu(x, *array("conv1"), stride=2, padding=3), size=3, alpha=5e-5)
    x = lrn_within(conv_relu(max_pool(x, side=3, padding=1), *array("conv2"), stride=2, padding=2), size=3, alpha=5e-5)
    x = max_pool(x, side=3, padding=1)
    for i in (3, 4, 5):
        x = conv_relu(x, *array(f"conv{i}"), padding=1)
    return x


def alexnet(x, array):
    """CaffeNet as Fast R-CNN has it: zeros around conv1 and the poolings."""
    x = max_pool(conv_relu(x, *array("conv1"), stride=4, padding=5), side=3, padding=1)
    x = conv_relu(lrn_across(x, size=5, alpha=1e-4), *array("conv2"), padding=2, groups=2)
    x = lrn_across(max_pool(x, side=3, padding=1), size=5, alpha=1e-4)
    for i, groups in ((3, 1), (4, 2), (5, 2)):
        x = conv_relu(x, *array(f"conv{i}"), padding=1, groups=groups)
    return x


def vgg_m(x, array):
    x = lrn_across(conv_relu(x, *array("conv1"), stride=2), size=5, alpha=5e-4, k=2.0)
    x = conv_relu(max_pool(x, side=3), *array("conv2"), stride=2, padding=1)
    x = max_pool(lrn_across(x, size=5, alpha=5e-4, k=2.0), side=3)
    for i in (3, 4, 5):
        x = conv_relu(x, *array(f"conv{i}"), padding=1)
    return x
