import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.training import sharding
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.step import make_train_step
from tests.training import toy


def train(steps, *, accumulate=1, trainable=lambda path: True):
    mesh = sharding.data_mesh()
    tx, schedule = toy.optimizer()
    state = toy.fresh_state(tx, mesh, trainable)
    step_fn = make_train_step(toy.loss, tx, mesh, accumulate=accumulate)
    for step in range(1, steps + 1):
        state, metrics = step_fn(state, sharding.shard_batch(toy.batch(step, size=16), mesh), schedule(step - 1))
    assert step_fn._cache_size() == 1
    return state, metrics


def test_the_loss_falls_and_the_metrics_are_complete():
    _, first = train(1)
    state, last = train(10)
    assert set(last) == {"loss", "box", "grad_norm"}
    assert last["loss"] < 0.8 * first["loss"]
    assert int(state.step) == 10


def test_the_first_step_follows_the_gradient_of_the_loss():
    mesh = sharding.data_mesh()
    tx, schedule = toy.optimizer(weight_decay=0.0)
    state = toy.fresh_state(tx, mesh)
    params, key = toy.init(jax.random.key(0)), jax.random.fold_in(jax.random.key(1), 0)
    grads = jax.grad(lambda p: toy.loss(p, jax.tree.map(jax.numpy.asarray, toy.batch(1)), key)[0])(params)
    batch = sharding.shard_batch(toy.batch(1), mesh)
    state, _ = make_train_step(toy.loss, tx, mesh)(state, batch, schedule(0))
    expected = params["fc"]["kernel"] - 0.1 * grads["fc"]["kernel"]
    np.testing.assert_allclose(state.trainable["fc/kernel"], expected, rtol=1e-5, atol=1e-7)


def test_frozen_parameters_do_not_change():
    state, _ = train(3, trainable=lambda path: path.startswith("fc"))
    fresh = jax.jit(toy.init)(jax.random.key(0))
    np.testing.assert_array_equal(state.frozen["conv/kernel"], fresh["conv"]["kernel"])
    assert np.abs(state.trainable["fc/kernel"] - fresh["fc"]["kernel"]).max() > 1e-3


def test_accumulated_parts_give_the_gradient_of_the_whole_batch():
    whole, whole_metrics = train(4)
    parts, parts_metrics = train(4, accumulate=2)
    for path, leaf in whole.trainable.items():
        np.testing.assert_allclose(parts.trainable[path], leaf, rtol=1e-5, atol=1e-6)
    for name, value in whole_metrics.items():
        np.testing.assert_allclose(parts_metrics[name], value, rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_new_rates_decay_schedules_and_lengths_are_the_same_program(name):
    """So the persistent cache has it, and no bucket is compiled again."""
    mesh = sharding.data_mesh()

    def program(**changes):
        tx, schedule = toy.optimizer(name=name, **changes)
        state = toy.fresh_state(tx, mesh)
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to an integer power
            step = make_train_step(toy.loss, tx, mesh)
            return step.lower(state, sharding.shard_batch(toy.batch(1), mesh), schedule(0)).as_text()

    first = program()
    for changes in (
        *({"learning_rate": 0.03}, {"weight_decay": 0.01}, {"weight_decay": 0.0}, {"steps": 7}, {"warmup_steps": 4}),
        *({"schedule": "cosine"}, {"schedule": "cosine", "final_learning_rate": 0.01}),
        *({"boundaries": ()}, {"boundaries": (3, 5), "decay": 0.5}),
    ):
        assert program(**changes) == first, changes


def test_a_step_takes_new_hyperparameters_without_compiling():
    mesh = sharding.data_mesh()
    tx, schedule = toy.optimizer(warmup_steps=5, boundaries=(6,))
    state, step = toy.fresh_state(tx, mesh), make_train_step(toy.loss, tx, mesh)
    for finished in range(8):
        state, _ = step(state, sharding.shard_batch(toy.batch(1), mesh), schedule(finished))
    assert step._cache_size() == 1


def test_a_batch_that_does_not_divide_into_parts_is_refused():
    with pytest.raises(InputError, match="take 18"):
        train(1, accumulate=3)


EIGHT_DEVICES = """
import sys, jax, numpy as np
from jaxdet.training.checkpoints import Checkpoints
from tests.training import test_step
assert jax.device_count() == 8
state, _ = test_step.train(4)
Checkpoints(sys.argv[1], keep=1).save(state, {})
np.savez(sys.argv[1] + "/whole.npz", **state.trainable)
state, _ = test_step.train(4, accumulate=2)
np.savez(sys.argv[1] + "/parts.npz", **state.trainable)
"""


def test_eight_devices_equal_one_and_their_checkpoint_restores_on_one(scripts, tmp_path):
    scripts.start_code(EIGHT_DEVICES, str(tmp_path), devices=8).end()
    one, _ = train(4)
    restored, _ = Checkpoints(tmp_path, keep=1).restore(one)
    whole, parts = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "parts.npz")
    for path, leaf in one.trainable.items():
        np.testing.assert_allclose(whole[path], leaf, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(parts[path], leaf, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(restored.trainable[path], whole[path])
