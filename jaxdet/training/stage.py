"""The description of one training stage."""

import dataclasses
import math
from collections.abc import Callable

import optax

from jaxdet.models.detector import Detector
from jaxdet.training.optimizer import Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One training stage: detector, trainable parameters, optimiser, schedule, and how often it logs and saves.

    Joint training has one stage, the 4-step training four.
    """

    name: str  # as shown in the progress and in metrics.jsonl
    number: int  # position among the stages of a run, from 1; 0 where there is one only
    seed: int  # of the run
    detector: Detector
    trainable: Callable[[str], bool]  # predicate over parameter paths such as "conv1_1/kernel"
    optimizer: optax.GradientTransformation
    schedule: Schedule  # of the optimiser's hyperparameters
    steps: int  # optimiser steps
    batch_size: int  # images per step
    accumulate: int  # parts that a batch is computed in, one after the other
    log_every: int  # steps between two reports of training metrics
    eval_every: int  # steps between two validations
    checkpoint_every: int  # steps between two checkpoints
    profile: tuple[int, int]  # first and last step to trace; (0, 0) for none
    keep: int  # number of newest checkpoints to keep; the best one is kept besides
    patience: int = 0  # validations without a better mAP after which the stage ends; 0: never
    deadline: float = math.inf  # of time.monotonic(), at which the process saves and ends
