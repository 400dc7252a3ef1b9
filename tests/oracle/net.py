"""A VGG16-like net of one image, forward and backward: 3x3 convolutions, ReLU, Caffe's pooling, two heads.

Parameters and gradients are flat dicts, "conv1_1/kernel" [3,3,C,D] and "conv1_1/bias" [D]; arrays are [h,w,C].
"""

import numpy as np

CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block; poolings between blocks, none after the last


def convolve(x, kernel):
    """Return the 'same' convolution with zeros around the image; a cross-correlation, as in every framework."""
    height, width = x.shape[:2]
    size = len(kernel)
    padded = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    return sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(size) for j in range(size))


def convolve_backward(x, kernel, gradient):
    """Return (gradient of x, gradient of the kernel)."""
    height, width = x.shape[:2]
    size = len(kernel)
    margin = size // 2
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)))
    d_padded, d_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(size):
        for j in range(size):
            d_kernel[i, j] = np.tensordot(padded[i : i + height, j : j + width], gradient, ([0, 1], [0, 1]))
            d_padded[i : i + height, j : j + width] += gradient @ kernel[i, j].T
    return d_padded[margin : margin + height, margin : margin + width], d_kernel


def max_pool(x):
    """Return the maxima of 2x2 cells and their places; the last row or column of an odd size is pooled alone (ceil)."""
    height, width, channels = x.shape
    pooled = np.zeros((-(-height // 2), -(-width // 2), channels))
    place = np.zeros((*pooled.shape, 2), int)
    for i, row in enumerate(range(0, height, 2)):
        for j, column in enumerate(range(0, width, 2)):
            window = x[row : row + 2, column : column + 2]
            flat = window.reshape(-1, channels)
            pooled[i, j] = flat.max(axis=0)
            down, right = np.divmod(flat.argmax(axis=0), window.shape[1])
            place[i, j] = np.stack([row + down, column + right], axis=-1)
    return pooled, place


def max_pool_backward(shape, place, gradient):
    """Return the gradient of x: each window's goes to its maximum; windows do not overlap."""
    x = np.zeros(shape)
    x[place[..., 0], place[..., 1], np.arange(shape[2])] = gradient
    return x


class Net:
    """The layers with a tape of their inputs.

    `gradients` are summed up by the backward functions; `preactivations` are the inputs of the ReLUs by layer.
    """

    def __init__(self, params):
        self.params = {path: np.asarray(value, np.float64) for path, value in params.items()}
        self.gradients = {path: np.zeros(value.shape) for path, value in self.params.items()}
        self.preactivations = {}
        self.tape = {}

    def linear(self, name, x, *, relu=False):
        """Apply a convolution, or a fully connected layer where the kernel is a matrix."""
        kernel = self.params[f"{name}/kernel"]
        y = (x @ kernel if kernel.ndim == 2 else convolve(x, kernel)) + self.params[f"{name}/bias"]
        if relu:
            self.preactivations[name] = y
            y = np.maximum(y, 0)
        self.tape[name] = x, (y > 0 if relu else True)
        return y

    def linear_backward(self, name, gradient):
        """Return the gradient of the layer's input from that of its output."""
        x, passed = self.tape[name]
        kernel, gradient = self.params[f"{name}/kernel"], gradient * passed
        self.gradients[f"{name}/bias"] += gradient.sum(axis=tuple(range(gradient.ndim - 1)))
        if kernel.ndim == 2:
            self.gradients[f"{name}/kernel"] += x.T @ gradient
            return gradient @ kernel.T
        d_x, d_kernel = convolve_backward(x, kernel, gradient)
        self.gradients[f"{name}/kernel"] += d_kernel
        return d_x

    def features(self, image):
        x = image
        for block, count in enumerate(CONVOLUTIONS, 1):
            if block > 1:
                shape = x.shape
                x, place = max_pool(x)
                self.tape[f"pool{block}"] = shape, place
            for i in range(1, count + 1):
                x = self.linear(f"conv{block}_{i}", x, relu=True)
        return x

    def features_backward(self, gradient):
        for block, count in reversed([*enumerate(CONVOLUTIONS, 1)]):
            for i in range(count, 0, -1):
                gradient = self.linear_backward(f"conv{block}_{i}", gradient)
            if block > 1:
                gradient = max_pool_backward(*self.tape[f"pool{block}"], gradient)

    def rpn(self, features):
        """Return (background, object) logits [N,2] and deltas [N,4] of every anchor."""
        x = self.linear("rpn_conv", features, relu=True)
        return self.linear("rpn_cls_score", x).reshape(-1, 2), self.linear("rpn_bbox_pred", x).reshape(-1, 4)

    def rpn_backward(self, d_logits, d_deltas):
        grid = self.tape["rpn_conv"][0].shape[:2]
        d_x = self.linear_backward("rpn_cls_score", d_logits.reshape(*grid, -1))
        d_x = d_x + self.linear_backward("rpn_bbox_pred", d_deltas.reshape(*grid, -1))
        return self.linear_backward("rpn_conv", d_x)

    def head(self, pooled):
        """Return class logits [R,K+1] and deltas [R,K+1,4] of pooled features [R,7,7,C]; no dropout."""
        x = self.linear("fc6", pooled.reshape(len(pooled), -1), relu=True)
        x = self.linear("fc7", x, relu=True)
        return self.linear("cls_score", x), self.linear("bbox_pred", x).reshape(len(x), -1, 4)

    def head_backward(self, d_logits, d_deltas):
        d_x = self.linear_backward("cls_score", d_logits)
        d_x = d_x + self.linear_backward("bbox_pred", d_deltas.reshape(len(d_deltas), -1))
        return self.linear_backward("fc6", self.linear_backward("fc7", d_x))
