"""One optimiser step, jitted over all devices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxdet.training.sharding import check_batch_size, copied, split
from jaxdet.training.state import TrainState, unflatten
from jaxdet.types import Batch, Metrics, Params

Loss = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Metrics]]


def make_train_step(
    loss: Loss, tx: optax.GradientTransformation, mesh: Mesh, *, accumulate: int = 1
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Returns the jitted (state, batch) -> (state, metrics); the state given in is donated, so use it no more.

    The batch is one optimiser step. With `accumulate` = A it is computed in A parts one after the other, for memory;
    the gradient is the mean over all rows either way (py-faster-rcnn's iter_size 2 with one image is a batch of 2, A =
    2). `loss` must be a mean over rows, and what it draws for an image must depend on the key and the image's id only.
    Metrics are scalars: those of `loss`, "loss" itself and "grad_norm", the global norm before any clipping.

    Raises (at the first call with a batch of another size):
      InputError: if the batch size is no multiple of accumulate x devices.
    """

    def gradient(state, batch, key):
        def objective(trainable):
            return loss(unflatten(trainable | state.frozen), batch, key)

        (total, metrics), grads = jax.value_and_grad(objective, has_aux=True)(state.trainable)
        return grads, metrics | {"loss": total}

    def step(state, batch):
        check_batch_size(batch.image_id.shape[0], mesh, accumulate=accumulate)
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        if accumulate == 1:
            grads, metrics = gradient(state, batch, key)
        else:
            grads, metrics = _mean(lambda part: gradient(state, part, key), _parts(batch, accumulate))
        updates, opt_state = tx.update(grads, state.opt_state, state.trainable)
        trainable = optax.apply_updates(state.trainable, updates)
        state = TrainState(state.step + 1, trainable, state.frozen, opt_state, state.key)
        return state, metrics | {"grad_norm": optax.tree.norm(grads)}

    whole, rows = copied(mesh), split(mesh)
    return jax.jit(step, in_shardings=(whole, rows), out_shardings=(whole, whole), donate_argnums=0)


def _parts(batch: Batch, count: int) -> Batch:
    """Reshapes rows [B] to [A, B/A], every A-th row to a part: so each device keeps the rows it has."""
    return jax.tree.map(lambda x: x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1), batch)


def _mean(function, parts):
    count = jax.tree.leaves(parts)[0].shape[0]
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    )
    total, _ = jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, function(part)), None), zeros, parts)
    return jax.tree.map(lambda x: x / count, total)
