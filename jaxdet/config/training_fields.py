"""The sections `optim`, `training` and `stages` of the experiment config; see fields.py."""

from dataclasses import dataclass
from typing import Annotated

from jaxdet.config.fields import CONTINUES, MAY_CHANGE, PathText
from jaxdet.config.limits import Count, Most, Positive


@dataclass(frozen=True, kw_only=True)
class SharedOptim:
    """training.optimizer.make_optimizer, without the boundaries that the stages of 4-step training set."""

    name: Annotated[str, "'sgd' (Caffe's momentum) or 'adamw'"]
    learning_rate: Annotated[float, "base learning rate", CONTINUES]
    schedule: Annotated[str, "'step' or 'cosine'"]
    decay: Annotated[float, 0.0, "'step': factor at each boundary"]
    final_learning_rate: Annotated[float, 0.0, "'cosine': last learning rate", CONTINUES]
    warmup_steps: Annotated[Count, "steps of linear warm-up"]
    momentum: Annotated[float, 0.0, Most(1.0, allowed=False), "SGD's momentum; AdamW's beta1"]
    weight_decay: Annotated[float, 0.0, "weight decay"]
    decay_biases: Annotated[bool, "decay biases too"]
    bias_learning_rate_factor: Annotated[float, 0.0, "learning rate of biases, relative to learning_rate"]
    classifier_learning_rate_factor: Annotated[
        float, "learning rate of cls_score, relative to learning_rate (R-CNN: 10)"
    ] = 1.0
    reference_fan_in: Annotated[
        Count, "a kernel's learning rate is multiplied by sqrt(reference_fan_in / its fan-in); 0: the same for all"
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Optim(SharedOptim):
    """training.optimizer.make_optimizer."""

    boundaries: Annotated[tuple[int, ...], "'step': steps at which the learning rate drops, ascending", CONTINUES]


@dataclass(frozen=True, kw_only=True)
class SharedTraining:
    """Training without the lengths that the stages of 4-step training set."""

    accumulate: Annotated[Positive, "parts of a batch computed one after the other, to save memory"]
    frozen: Annotated[tuple[str, ...], "layers that are not trained, by the start of their names"]
    init_from: Annotated[PathText, "workdir, checkpoint or exported file to start from; empty: none"]
    pretrained: Annotated[
        str,
        "'caffe', 'torchvision', 'keras' or 'keras_notop' (ImageNet's VGG16), 'resnet50' (ImageNet's) or 'coco'; "
        "empty: none",
    ]
    pretrained_file: Annotated[PathText, "file or address of these weights; empty: the published one"]
    log_every: Annotated[Positive, "steps between reports", MAY_CHANGE]
    eval_every: Annotated[Count, "steps between validations; 0: never", MAY_CHANGE]
    checkpoint_every: Annotated[Positive, "steps between checkpoints", MAY_CHANGE]
    keep: Annotated[Positive, "newest checkpoints to keep, besides the best", MAY_CHANGE]
    profile: Annotated[
        tuple[int, int], 0, "first and last step traced into WORKDIR/profile; (0, 0): none", MAY_CHANGE
    ] = (0, 0)
    max_hours: Annotated[float, 0.0, "hours after which the command saves and ends; 0: no limit", MAY_CHANGE] = 0.0
    reference_batch_size: Annotated[
        Count, "batch size that rates, steps and boundaries are meant for, scaled to batch_size; 0: as they are"
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Training(SharedTraining):
    steps: Annotated[Positive, "optimiser steps", CONTINUES]
    epochs: Annotated[float, 0.0, "passes over the training images, in place of steps; 0: steps"] = 0.0
    patience: Annotated[Count, "validations without a better mAP after which training ends; 0: never", CONTINUES] = 0
    batch_size: Annotated[Positive, "images per step, over all devices and hosts"]


@dataclass(frozen=True, kw_only=True)
class StageLength:
    steps: Annotated[Positive, "optimiser steps of each such stage"]
    batch_size: Annotated[Positive, "images per step"]
    boundaries: Annotated[tuple[int, ...], "steps at which the learning rate drops"]


@dataclass(frozen=True, kw_only=True)
class Stages:
    rpn: StageLength
    fast_rcnn: StageLength
    mirrored_proposals: Annotated[bool, "propose on mirrored images too; False: an image's boxes are mirrored with it"]
