"""The batch rule: learning rate and lengths of a recipe for another batch size."""

import dataclasses
from typing import TypeVar

from jaxdet.config.boundaries import scale_boundaries
from jaxdet.config.schema import OneStage

AnyStage = TypeVar("AnyStage", bound=OneStage)


def apply_batch_rule(experiment: AnyStage) -> AnyStage:
    """Return the experiment with the rates and lengths that training.batch_size needs; as it is without the rule.

    Learning rates grow with training.batch_size / training.reference_batch_size, and steps and boundaries shrink by it,
    so that training sees as many images (Goyal et al., Accurate, large minibatch SGD, 2.1). Warm-up stays in steps.
    """
    training, optim = experiment.training, experiment.optim
    if not training.reference_batch_size:
        return experiment
    factor = training.batch_size / training.reference_batch_size

    def length(steps: int) -> int:
        return max(round(steps / factor), 1)

    return dataclasses.replace(
        experiment,
        training=dataclasses.replace(training, steps=length(training.steps), reference_batch_size=0),
        optim=dataclasses.replace(
            optim,
            learning_rate=optim.learning_rate * factor,
            final_learning_rate=optim.final_learning_rate * factor,
            boundaries=scale_boundaries(optim.boundaries, length),
        ),
    )
