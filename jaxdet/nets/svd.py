"""Truncated SVD of the fully connected layers, for faster detection (Fast R-CNN, 3.1)."""

from collections.abc import Mapping

import numpy as np

from jaxdet.checks import InputError
from jaxdet.types import Params


def compress(params: Params, ranks: Mapping[str, int]) -> Params:
    """Return the parameters with each layer of `ranks` replaced by two, whose product is its nearest of that rank.

    fc6 {kernel [in,out], bias [out]} becomes fc6_v {kernel [in,t]}, which includes the singular values, and fc6_u
    {kernel [t,out], bias [out]}; region_net(svd_ranks=...) runs them. The paper has t = 1024 for fc6 and 256 for fc7.
    Computed on the host.

    Raises:
      InputError: a layer that does not exist, or a rank beyond its kernel's sides.
    """
    compressed = dict(params)
    for name, rank in ranks.items():
        if name not in params:
            raise InputError(f"svd: the layer to compress must be one of {', '.join(params)}, got {name!r}.")
        layer = compressed.pop(name)
        kernel = np.asarray(layer["kernel"], np.float32)
        if kernel.ndim != 2 or not 1 <= rank <= min(kernel.shape):
            raise InputError(
                f"evaluation.svd_ranks: that of {name} must be 1 to {min(kernel.shape)}, got {rank}; lower it."
            )
        left, values, right = np.linalg.svd(kernel, full_matrices=False)
        compressed[f"{name}_v"] = {"kernel": left[:, :rank] * values[:rank]}
        compressed[f"{name}_u"] = {"kernel": right[:rank], "bias": layer["bias"]}
    return compressed
