"""SGD with momentum as Caffe does it and AdamW, over the flat dict of trainable parameters."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxdet.checks import InputError, nearest

LearningRate = Callable[[jax.Array | int], jax.Array]  # finished steps -> rate of the next step


def make_optimizer(
    *,
    steps: int,
    name: str,
    learning_rate: float,
    schedule: str,
    boundaries: tuple[int, ...] = (),
    decay: float = 0.1,
    final_learning_rate: float = 0.0,
    warmup_steps: int = 0,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    decay_biases: bool = True,
    bias_learning_rate_factor: float = 1.0,
    classifier_learning_rate_factor: float = 1.0,
    rate_by_fan_in: bool = False,
    clip_norm: float | None = None,
) -> tuple[optax.GradientTransformation, LearningRate]:
    """Builds the update rule and its learning rate, `rate(finished steps)`, which is given back for the log.

    "sgd" is Caffe's: v = momentum v + rate (g + weight_decay w), w = w - v. The rate stands inside the momentum, so
    after a drop the old velocity keeps its size (optax.sgd and torch would shrink it at once). "adamw" is Loshchilov
    and Hutter, Decoupled weight decay regularization, algorithm 2, with beta1 = momentum and beta2 = 0.999.

    Args:
      steps: length of the run in optimiser steps; where "cosine" ends.
      schedule: "step" multiplies the rate by `decay` at each of `boundaries` (finished steps, ascending); "cosine"
        falls from `learning_rate` to `final_learning_rate`.
      warmup_steps: the rate first rises linearly, learning_rate / warmup_steps in the first step.
      decay_biases: Caffe decays biases like kernels; False for kernels only, as is usual with AdamW.
      bias_learning_rate_factor: the biases' rate over `learning_rate` (Caffe's models: 2).
      classifier_learning_rate_factor: the rate of cls_score, the one new layer of R-CNN's net, over the others' (R-CNN:
        10).
      rate_by_fan_in: multiplies each kernel's rate by sqrt(2 / inputs), the standard deviation that He et al. 2015 draw
        it with. A step of Adam moves every weight by about the rate: without this, layers of many inputs, whose weights
        are small, change much faster than those of few.
      clip_norm: largest global norm of a gradient; None leaves gradients as they are.

    Raises:
      InputError: on an unknown name or schedule, a rate that is not above 0, or where boundaries do not ascend.
    """
    if not learning_rate > 0:
        raise InputError(f"optim.learning_rate must be above 0, got {learning_rate}; give a positive one.")
    base = _schedule(schedule, learning_rate, steps, boundaries, decay, final_learning_rate)
    rate = _warmed(base, warmup_steps)
    decayed = optax.add_decayed_weights(weight_decay, mask=None if decay_biases else _kernels)
    scaled = optax.chain(
        optax.scale_by_schedule(rate),
        _scale(bias_learning_rate_factor, lambda path: path.endswith("/bias")),
        _scale(classifier_learning_rate_factor, lambda path: path.startswith("cls_score/")),
        *([_scale_by_fan_in()] if rate_by_fan_in else []),  # a state of its own, which other runs' checkpoints lack
    )
    if name == "sgd":
        update = optax.chain(decayed, scaled, optax.trace(momentum))
    elif name == "adamw":
        update = optax.chain(_adam(momentum), decayed, scaled)
    else:
        raise InputError(f"optim.name must be 'sgd' or 'adamw', got {name!r}; {nearest(name, ('sgd', 'adamw'))}.")
    clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
    return optax.chain(clip, update, optax.scale(-1.0)), rate


def _schedule(schedule, learning_rate, steps, boundaries, decay, final_learning_rate) -> optax.Schedule:
    if schedule == "step":
        if list(boundaries) != sorted(set(boundaries)):
            raise InputError(f"optim.boundaries must ascend, got {tuple(boundaries)}; give steps as in (50000, 60000).")
        return optax.piecewise_constant_schedule(learning_rate, dict.fromkeys(boundaries, decay))
    if schedule == "cosine":
        fall = learning_rate - final_learning_rate
        return lambda finished: final_learning_rate + fall * 0.5 * (1 + jnp.cos(jnp.pi * finished / steps))
    raise InputError(
        f"optim.schedule must be 'step' or 'cosine', got {schedule!r}; {nearest(schedule, ('step', 'cosine'))}."
    )


def _warmed(base: optax.Schedule, warmup_steps: int) -> LearningRate:
    def rate(finished):
        finished = jnp.asarray(finished, jnp.float32)
        return base(finished) * jnp.minimum((finished + 1) / max(warmup_steps, 1), 1.0)

    return rate


def _adam(momentum: float) -> optax.GradientTransformation:
    adam = optax.scale_by_adam(b1=momentum)

    def update(updates, state, params=None):
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
            return adam.update(updates, state, params)

    return optax.GradientTransformation(adam.init, update)


def _kernels(params) -> dict[str, bool]:
    return {path: not path.endswith("/bias") for path in params}


def _scale(factor: float, chosen: Callable[[str], bool]) -> optax.GradientTransformation:
    return optax.stateless(lambda updates, _: {path: factor * u if chosen(path) else u for path, u in updates.items()})


def _scale_by_fan_in() -> optax.GradientTransformation:
    def scale(updates, _):
        inputs = {path: math.prod(u.shape[:-1]) for path, u in updates.items() if path.endswith("/kernel")}
        return updates | {path: math.sqrt(2 / count) * updates[path] for path, count in inputs.items()}

    return optax.stateless(scale)
