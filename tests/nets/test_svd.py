"""The nearest layers of a rank: numpy's error, and the same net where nothing is cut off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.region_net import region_net
from jaxdet.nets.svd import compress

SIZES = {"backbone": "zf", "num_classes": 2, "num_anchors": 0, "width": 1 / 64, "head_features": 12, "dropout": 0.0}


def layer(inputs, outputs):
    rng = np.random.default_rng(0)
    return {"kernel": rng.normal(size=(inputs, outputs)).astype(np.float32), "bias": np.ones(outputs, np.float32)}


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_the_error_is_that_of_numpys_truncated_svd(rank):
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


def test_the_net_runs_compressed_parameters():
    init = region_net(**SIZES).init
    params = jax.device_get(jax.jit(init, compiler_options={"xla_backend_optimization_level": 0})(jax.random.key(0)))
    net = region_net(**SIZES, svd_ranks=(12, 5))
    compressed = compress(params, {"fc6": 12, "fc7": 5})
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    assert jax.tree.map(np.shape, compressed) == jax.tree.map(np.shape, shapes)
    pooled = jax.random.uniform(jax.random.key(1), (1, 3, 6, 6, 4))
    whole = region_net(**SIZES, svd_ranks=(12, 12))
    expected = region_net(**SIZES).head(params, pooled, None)
    got = whole.head(compress(params, {"fc6": 12, "fc7": 12}), pooled, None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, expected)
    # by hand, where something is cut off
    x = jnp.reshape(pooled, (3, -1))
    for name in ("fc6", "fc7"):
        x = jnp.maximum(x @ compressed[f"{name}_v"]["kernel"] @ compressed[f"{name}_u"]["kernel"], 0)
    logits = x @ params["cls_score"]["kernel"]
    np.testing.assert_allclose(net.head(compressed, pooled, None)[0][0], logits, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_compressed():
    params = {"fc6": layer(30, 12)}
    with pytest.raises(InputError, match="one of fc6, got 'fc8'"):
        compress(params, {"fc8": 2})
    for rank in (0, 13):
        with pytest.raises(InputError, match=f"the rank of fc6 must be 1 to a side of .30, 12., got {rank}; lower it"):
            compress(params, {"fc6": rank})
