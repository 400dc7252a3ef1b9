"""SGD with momentum as in Caffe, and AdamW, over the flat dict of trainable parameters."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxdet.checks import InputError, one_of
from jaxdet.training.state import FlatParams


class Hyperparameters(NamedTuple):
    """Numbers of one step that are arguments of the compiled train step: other values compile nothing again."""

    learning_rate: np.float32 | jax.Array  # f32[]
    weight_decay: np.float32 | jax.Array  # f32[]


Schedule = Callable[[int], Hyperparameters]  # finished steps -> hyperparameters of the next step


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
    reference_fan_in: int = 0,
) -> tuple[optax.GradientTransformationExtraArgs, Schedule]:
    """Return the update rule and the schedule of its hyperparameters.

    The rule's update takes them as `hyperparameters`. The host computes them, in float32, so that neither the schedule
    nor the number of steps is part of the compiled program.

    "sgd" is Caffe's: v = momentum v + rate (g + weight_decay w), w = w - v. The rate is inside the momentum, so after a
    drop the old velocity keeps its size (optax.sgd and torch would shrink it at once). "adamw" is Loshchilov and
    Hutter, Decoupled weight decay regularization, algorithm 2, with beta1 = momentum and beta2 = 0.999.

    Args:
      steps: length of the run in optimiser steps; where "cosine" ends.
      name: "sgd" or "adamw".
      learning_rate: rate after the warm-up, above 0.
      schedule: "step" multiplies the rate by `decay` at each of `boundaries` (finished steps, ascending); "cosine"
        falls from `learning_rate` to `final_learning_rate`.
      warmup_steps: steps of a linear rise, from learning_rate / warmup_steps in the first step.
      decay_biases: True decays biases like kernels, as Caffe does; False decays kernels only, as is usual with AdamW.
      bias_learning_rate_factor: rate of the biases over `learning_rate` (Caffe's models: 2).
      classifier_learning_rate_factor: rate of cls_score, the one new layer of R-CNN's net, over that of the other
        layers (R-CNN: 10).
      reference_fan_in: a kernel with fan_in inputs trains at learning_rate * sqrt(reference_fan_in / fan_in), which is
        in proportion to the standard deviation of its initialisation (He et al. 2015); 0: all kernels at learning_rate.
        A step of Adam moves every weight by about the learning rate: without this, layers of many inputs, whose weights
        are small, change much faster than those of few.

    Raises:
      InputError: unknown name or schedule, a rate that is not above 0, or boundaries that do not ascend.
    """
    one_of("optim.name", name, ("sgd", "adamw"))
    if not learning_rate > 0:
        raise InputError(f"optim.learning_rate must be above 0, got {learning_rate}; give a positive one.")
    base = _schedule(schedule, learning_rate, steps, boundaries, decay, final_learning_rate)

    def hyperparameters(finished: int) -> Hyperparameters:
        warm_up = np.minimum(np.float32(finished + 1) / np.float32(max(warmup_steps, 1)), np.float32(1))
        return Hyperparameters(base(np.float32(finished)) * warm_up, np.float32(weight_decay))

    def rule(rate: ArrayLike, weight_decay: ArrayLike) -> optax.GradientTransformation:
        weight_decay_term = optax.add_decayed_weights(weight_decay, mask=None if decay_biases else _kernels)
        scale_by_rate = optax.chain(
            optax.scale_by_schedule(lambda _: rate),  # not scale(rate): checkpoints of earlier runs hold its count
            _scale(bias_learning_rate_factor, lambda path: path.endswith("/bias")),
            _scale(classifier_learning_rate_factor, lambda path: path.startswith("cls_score/")),
            # Only where it is used: it adds a state, which the checkpoints of other runs lack.
            *([_scale_by_fan_in(reference_fan_in)] if reference_fan_in else []),
        )
        if name == "sgd":
            update = optax.chain(weight_decay_term, scale_by_rate, optax.trace(momentum))
        else:
            update = optax.chain(optax.scale_by_adam(b1=momentum), weight_decay_term, scale_by_rate)
        # Checkpoints name the arrays of the optimiser by position; identity() keeps the place of a former clipping.
        return optax.chain(optax.identity(), update, optax.scale(-1.0))

    def update(
        gradients: Any, state: Any, params: Any = None, *, hyperparameters: Hyperparameters, **_: Any
    ) -> tuple[Any, Any]:
        return rule(*hyperparameters).update(gradients, state, params)

    return optax.GradientTransformationExtraArgs(rule(0.0, 0.0).init, update), hyperparameters


# Not optax's schedules: they run on the device and round differently, and optax joins warm-up and schedule one after
# the other where this warm-up multiplies the schedule.
def _schedule(
    schedule: str,
    learning_rate: float,
    steps: int,
    boundaries: tuple[int, ...],
    decay: float,
    final_learning_rate: float,
) -> Callable[[np.float32], np.float32]:
    one_of("optim.schedule", schedule, ("step", "cosine"))
    if schedule == "step":
        if list(boundaries) != sorted(set(boundaries)):
            raise InputError(f"optim.boundaries must ascend, got {tuple(boundaries)}; give steps as in (50000, 60000).")

        def piecewise(finished: np.float32) -> np.float32:
            rate = np.float32(learning_rate)
            for boundary in boundaries:
                rate = rate * np.float32(decay) if finished >= boundary else rate
            return rate

        return piecewise
    low, fall = np.float32(final_learning_rate), np.float32((learning_rate - final_learning_rate) * 0.5)
    return lambda finished: low + fall * (1 + np.cos(np.float32(np.pi) * finished / np.float32(steps)))


def _kernels(params: FlatParams) -> dict[str, bool]:
    return {path: not path.endswith("/bias") for path in params}


def _scale(factor: float, chosen: Callable[[str], bool]) -> optax.GradientTransformation:
    def scale(updates: Any, _: Any) -> FlatParams:
        return {path: factor * u if chosen(path) else u for path, u in updates.items()}

    return optax.stateless(scale)


def _scale_by_fan_in(reference: int) -> optax.GradientTransformation:
    def scale(updates: Any, _: Any) -> FlatParams:
        fan_in = {path: math.prod(u.shape[:-1]) for path, u in updates.items() if path.endswith("/kernel")}
        return updates | {path: math.sqrt(reference / count) * updates[path] for path, count in fan_in.items()}

    return optax.stateless(scale)
