"""Compressed layers: the error of numpy's truncated SVD, and the same net at full rank."""

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.region_net import region_net
from jaxdet.nets.svd import compress
from tests.nets.random_params import random_params

SIZES = {"backbone": "zf", "num_classes": 2, "num_anchors": 0, "width": 1 / 64, "head_features": 12, "dropout": 0.0}


def layer(inputs, outputs):
    rng = np.random.default_rng(0)
    return {"kernel": rng.normal(size=(inputs, outputs)).astype(np.float32), "bias": np.ones(outputs, np.float32)}


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_error_equals_that_of_numpys_truncated_svd(rank):
    params = {"conv1": {}, "fc6": layer(30, 12)}
    kernel = params["fc6"]["kernel"]
    got = compress(params, {"fc6": rank})
    assert got.keys() == {"conv1", "fc6_v", "fc6_u"}
    assert got["fc6_v"]["kernel"].shape == (30, rank) and got["fc6_u"]["kernel"].shape == (rank, 12)
    assert got["fc6_v"].keys() == {"kernel"} and got["fc6_u"]["bias"] is params["fc6"]["bias"]
    error = np.linalg.norm(got["fc6_v"]["kernel"] @ got["fc6_u"]["kernel"] - kernel)
    values = np.linalg.svd(kernel.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(error, np.sqrt((values[rank:] ** 2).sum()), rtol=1e-5, atol=1e-4)
    assert "fc6" in params


def test_net_with_compressed_parameters_equals_matrix_products():
    params = random_params(region_net(**SIZES).init)
    net = region_net(**SIZES, svd_ranks=(12, 5))
    compressed = compress(params, {"fc6": 12, "fc7": 5})
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    assert jax.tree.map(np.shape, compressed) == jax.tree.map(np.shape, shapes)
    pooled = np.random.default_rng(1).uniform(size=(1, 3, 6, 6, 4)).astype(np.float32)

    def logits_of(layers):
        x = pooled.reshape(3, -1)
        for name in ("fc6", "fc7"):
            x = np.maximum(x @ layers[name] + params[name]["bias"], 0)
        return x @ params["cls_score"]["kernel"] + params["cls_score"]["bias"]

    logits, _ = net.head(compressed, pooled, None)
    layers = {name: compressed[f"{name}_v"]["kernel"] @ compressed[f"{name}_u"]["kernel"] for name in ("fc6", "fc7")}
    np.testing.assert_allclose(logits[0], logits_of(layers), rtol=1e-4, atol=1e-5)
    whole = logits_of({name: params[name]["kernel"] for name in layers})
    assert np.abs(logits[0] - whole).max() > 0.01  # without seven of fc7's twelve singular values


def test_what_cannot_be_compressed():
    params = {"fc6": layer(30, 12)}
    with pytest.raises(InputError, match="one of fc6, got 'fc8'"):
        compress(params, {"fc8": 2})
    for rank in (0, 13):
        with pytest.raises(InputError, match=f"svd_ranks: that of fc6 must be 1 to 12, got {rank}; lower it"):
            compress(params, {"fc6": rank})
