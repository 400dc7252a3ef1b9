"""Epochs in place of steps: the length of a training from the number of its images."""

import dataclasses
import logging

from jaxdet.config.boundaries import scale_boundaries
from jaxdet.config.schema import OneStage

log = logging.getLogger(__name__)


def resolve_epochs(experiment: OneStage, *, batches_per_epoch: int) -> OneStage:
    """Return the experiment with training.epochs as training.steps, and the boundaries in proportion.

    It is as it was where epochs is 0.

    Args:
      batches_per_epoch: batches of training.batch_size that hold every image.
    """
    training, optim = experiment.training, experiment.optim
    if not training.epochs:
        return experiment
    steps = max(round(training.epochs * batches_per_epoch), 1)
    log.info(
        "training.epochs=%g: %d steps of %d images, %d for each epoch, in place of training.steps=%d",
        *(training.epochs, steps, training.batch_size, batches_per_epoch, training.steps),
    )
    if training.reference_batch_size:  # the batch rule will scale the steps
        steps = max(round(steps * training.batch_size / training.reference_batch_size), 1)
    boundaries = scale_boundaries(optim.boundaries, lambda boundary: round(boundary * steps / training.steps))
    if boundaries:
        log.info("training.epochs: optim.boundaries=%s, in proportion", boundaries)
    return dataclasses.replace(
        experiment,
        training=dataclasses.replace(training, steps=steps, epochs=0.0),
        optim=dataclasses.replace(optim, boundaries=boundaries),
    )
