import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdet.checks import InputError
from jaxdet.training.optimizer import make_optimizer

PARAMS = {"fc/kernel": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "fc/bias": np.ones(3, np.float32)}


def gradients(step):
    rng = np.random.default_rng(step)
    return {path: rng.normal(size=leaf.shape).astype(np.float32) for path, leaf in PARAMS.items()}


def run(steps, tx, schedule):
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = tx.init(params)
    update = jax.jit(optax.with_extra_args_support(tx).update)
    for step in range(steps):
        updates, state = update(gradients(step), state, params, hyperparameters=schedule(step))
        params = optax.apply_updates(params, updates)
    return params


def sgd(**changes):
    fields = {"steps": 100, "name": "sgd", "learning_rate": 0.1, "schedule": "step", "weight_decay": 0.05}
    return make_optimizer(**(fields | changes))


def test_sgd_equals_caffes_across_a_drop_of_the_rate():
    tx, schedule = sgd(boundaries=(3,), decay=0.1, bias_learning_rate_factor=2.0)
    expected = {path: leaf.astype(np.float64) for path, leaf in PARAMS.items()}
    velocity = {path: np.zeros(leaf.shape) for path, leaf in PARAMS.items()}
    for step in range(6):  # Caffe's SGDSolver: V = momentum V + rate (gradient + decay W); W = W - V
        for path, gradient in gradients(step).items():
            rate = (0.1 if step < 3 else 0.01) * (2 if path == "fc/bias" else 1)
            velocity[path] = 0.9 * velocity[path] + rate * (gradient + 0.05 * expected[path])
            expected[path] = expected[path] - velocity[path]
    got = run(6, tx, schedule)
    for path in PARAMS:
        np.testing.assert_allclose(got[path], expected[path], rtol=1e-5, atol=1e-6)


def test_the_classifier_has_its_own_learning_rate_factor():
    """cls_score, R-CNN's new layer: ten times the rate, times the factor of biases; not layers of similar names."""
    params = {path: jnp.ones(2) for path in ("cls_score/kernel", "cls_score/bias", "cls_scores/kernel", "fc7/bias")}
    tx, schedule = sgd(classifier_learning_rate_factor=10.0, bias_learning_rate_factor=2.0)
    state = tx.init(params)
    factors = {"cls_score/kernel": 10, "cls_score/bias": 20, "cls_scores/kernel": 1, "fc7/bias": 2}
    velocity, expected = dict.fromkeys(params, 0.0), dict.fromkeys(params, 1.0)
    for gradient in (0.3, -0.1, 0.2):
        gradient_tree = {path: jnp.full(2, gradient) for path in params}
        updates, state = jax.jit(tx.update)(gradient_tree, state, params, hyperparameters=schedule(0))
        params = optax.apply_updates(params, updates)
        for path, factor in factors.items():
            velocity[path] = 0.9 * velocity[path] + 0.1 * factor * (gradient + 0.05 * expected[path])
            expected[path] -= velocity[path]
    for path in params:
        np.testing.assert_allclose(params[path], [expected[path]] * 2, rtol=1e-5, atol=1e-6)


def test_the_rate_of_a_kernel_scales_with_its_fan_in():
    shapes = {"conv/kernel": (3, 3, 8, 4), "conv/bias": (4,), "fc/kernel": (50, 6)}
    params = {path: jnp.ones(shape) for path, shape in shapes.items()}
    tx, schedule = sgd(name="adamw", weight_decay=0.0, reference_fan_in=2, bias_learning_rate_factor=0.5)
    gradient = {path: jnp.full(shape, 0.3) for path, shape in shapes.items()}
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to an integer power
        updates, _ = tx.update(gradient, tx.init(params), params, hyperparameters=schedule(0))
    for path, share in {"conv/kernel": (2 / 72) ** 0.5, "conv/bias": 0.5, "fc/kernel": 0.2}.items():
        np.testing.assert_allclose(updates[path], np.full(shapes[path], -0.1 * share), rtol=1e-5)


def test_sgd_differs_from_optax_only_after_a_drop():
    def optax_sgd(rate):
        return optax.chain(optax.add_decayed_weights(0.05), optax.sgd(rate, momentum=0.9))

    tx, schedule = sgd(boundaries=(3,))
    theirs = optax_sgd(lambda count: jnp.where(count < 3, 0.1, 0.01))
    same, other = run(3, theirs, schedule), run(4, theirs, schedule)
    np.testing.assert_allclose(run(3, tx, schedule)["fc/kernel"], same["fc/kernel"], rtol=1e-5, atol=1e-6)
    assert np.abs(run(4, tx, schedule)["fc/kernel"] - other["fc/kernel"]).max() > 0.05


def test_adamw_without_decay_of_biases_equals_optax():
    tx, schedule = sgd(name="adamw", decay_biases=False)
    decayed = optax.adamw(0.1, b1=0.9, weight_decay=0.05, mask=lambda p: {path: "kernel" in path for path in p})
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to an integer power
        got, expected = run(5, tx, schedule), run(5, decayed, schedule)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)


def test_the_step_schedule_with_warm_up():
    _, schedule = sgd(boundaries=(10, 20), decay=0.1, warmup_steps=4)
    got = [schedule(step).learning_rate for step in (0, 1, 3, 4, 9, 10, 19, 20)]
    np.testing.assert_allclose(got, [0.025, 0.05, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-6)


def test_the_cosine_schedule_ends_at_its_final_rate():
    _, schedule = sgd(schedule="cosine", final_learning_rate=0.001)
    got = [schedule(step).learning_rate for step in (0, 50, 100)]
    np.testing.assert_allclose(got, [0.1, 0.0505, 0.001], rtol=1e-5)


def test_the_piecewise_schedule_equals_optax_bit_for_bit():
    """So runs that trained with optax's schedule repeat."""
    _, schedule = sgd(learning_rate=0.0123, boundaries=(3, 7), decay=0.31)
    theirs = optax.piecewise_constant_schedule(0.0123, {3: 0.31, 7: 0.31})
    for step in range(10):
        assert schedule(step).learning_rate == theirs(jnp.float32(step))


def test_hyperparameters_are_float32_scalars_of_the_host():
    """A float64 would be another program, and an array of the device a transfer per step."""
    for changes in ({}, {"boundaries": (1,)}, {"schedule": "cosine"}, {"warmup_steps": 3, "weight_decay": 0}):
        for step in (0, 1, 99):
            assert {type(value) for value in sgd(**changes)[1](step)} == {np.float32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "sdg"}, "did you mean 'sgd'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"boundaries": (5, 3)}, "must ascend, got"),
    ],
)
def test_mistakes_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        sgd(**change)
