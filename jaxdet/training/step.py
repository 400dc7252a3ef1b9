"""One optimiser step, jitted over all devices."""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxdet.training.optimizer import Hyperparameters
from jaxdet.training.sharding import (
    batch_sharding,
    check_batch_size,
    on_own_rows,
    platform_of,
    replicated,
    scratch_memory,
)
from jaxdet.training.state import FlatParams, TrainState, unflatten
from jaxdet.types import Batch, Metrics, Params

Loss = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]  # (params, batch, key) -> (loss, metrics)
TrainStep = Callable[[TrainState, Batch, Hyperparameters], tuple[TrainState, Metrics]]
Gradients = tuple[FlatParams, Metrics]


def make_train_step(
    loss: Loss, optimizer: optax.GradientTransformation, mesh: Mesh, *, accumulate: int = 1
) -> TrainStep:
    """Return the jitted (state, batch, hyperparameters) -> (state, metrics).

    It donates its state, so do not use that afterwards.

    Each device computes the gradient of its own rows; their mean is all that devices exchange.

    The batch is one optimiser step. With `accumulate` = A it is computed in A parts one after the other, to save
    memory; the gradient is the mean over all rows either way (py-faster-rcnn's iter_size 2 with one image is a batch of
    2, A = 2). `loss` must be a mean over rows, and the random numbers of an image must depend on the key and the
    image's id only. Metrics are scalars: those of `loss`, "loss" itself and "grad_norm", the global gradient norm.

    Raises (at the first call with a batch of another size):
      InputError: the batch size is not a multiple of accumulate x devices.
    """

    update = optax.with_extra_args_support(optimizer).update

    def gradient(state: TrainState, batch: Batch, key: jax.Array) -> Gradients:
        def objective(trainable: FlatParams) -> tuple[jax.Array, Metrics]:
            return loss(unflatten(trainable | state.frozen), batch, key)

        (total, metrics), grads = jax.value_and_grad(objective, has_aux=True)(state.trainable)
        return grads, metrics | {"loss": total}

    def mean_gradient(state: TrainState, batch: Batch) -> Gradients:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        if accumulate == 1:
            return gradient(state, batch, key)
        return _mean(lambda part: gradient(state, part, key), _parts(batch, accumulate))

    def step(state: TrainState, batch: Batch, hyperparameters: Hyperparameters) -> tuple[TrainState, Metrics]:
        check_batch_size(batch.image_id.shape[0], mesh, accumulate=accumulate)
        _, sums = on_own_rows(lambda state, rows: ((), mean_gradient(state, rows)), mesh)(state, batch)
        grads, metrics = sums if mesh.size == 1 else jax.tree.map(lambda x: x / mesh.size, sums)
        updates, opt_state = update(grads, state.opt_state, state.trainable, hyperparameters=hyperparameters)
        trainable = cast(FlatParams, optax.apply_updates(state.trainable, updates))
        state = TrainState(state.step + 1, trainable, state.frozen, opt_state, state.key)
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    whole, rows = replicated(mesh), batch_sharding(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, rows, whole),
        out_shardings=(whole, whole),
        donate_argnums=0,
        compiler_options=scratch_memory(platform_of(mesh), mib=8),
    )


def _parts(batch: Batch, count: int) -> Batch:
    """Reshape rows [B] to [A, B/A], with every A-th row in one part, so that no row changes its device."""
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1), batch)


def _mean(function: Callable[[Batch], Gradients], parts: Batch) -> Gradients:
    """Return the mean of `function` over the parts, computed one after the other."""
    count = jax.tree.leaves(parts)[0].shape[0]
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    )
    total, _ = jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, function(part)), None), zeros, parts)
    return jax.tree.map(lambda x: x / count, total)
