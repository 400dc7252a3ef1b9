import jax
import numpy as np
import pytest

from jaxdet.training import state
from tests.training.toy import DETECTOR, optimizer


def test_unflatten_is_the_inverse_of_flatten():
    nested = {"conv": {"kernel": 1, "bias": 2}, "rpn": {"conv": {"kernel": 3}}}
    flat = state.flatten(nested)
    assert flat == {"conv/kernel": 1, "conv/bias": 2, "rpn/conv/kernel": 3}
    assert state.unflatten(flat) == nested


def test_the_optimiser_sees_only_the_trainable_parameters():
    params = DETECTOR.init(jax.random.key(0))
    tx, _ = optimizer()
    created = state.create(params, tx, jax.random.key(1), trainable=lambda path: path.startswith("fc"))
    assert set(created.trainable) == {"fc/kernel", "fc/bias"}
    assert set(created.frozen) == {"conv/kernel", "conv/bias"}
    shapes = [leaf.shape for leaf in jax.tree.leaves(created.opt_state) if leaf.ndim]
    assert sorted(shapes) == [(4,), (5, 4)]
    jax.tree.map(np.testing.assert_array_equal, state.params(created), params)


def test_a_state_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="must select parameters"):
        tx, _ = optimizer()
        state.create(DETECTOR.init(jax.random.key(0)), tx, jax.random.key(1), trainable=lambda path: False)


def test_the_digest_depends_on_names_shapes_and_values():
    params = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}}
    first = state.digest(params)
    same = {"a": dict(reversed(jax.tree.map(jax.numpy.asarray, params)["a"].items()))}
    assert state.digest(same) == first and len(first) == 16
    others = [
        {"a": params["a"] | {"kernel": params["a"]["kernel"] + np.float32(1e-6)}},
        {"a": params["a"] | {"kernel": params["a"]["kernel"].reshape(3, 2)}},
        {"b": params["a"]},
    ]
    assert len({first, *map(state.digest, others)}) == 4
