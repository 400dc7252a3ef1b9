"""Training: a config and a workdir -> a trained detector in the workdir.

A workdir holds experiment.json (the config and the class names), checkpoints/, metrics.jsonl, curves.png, tensorboard/,
pictures/ and, once evaluated, evaluation/<split>/. Where training has several stages, stages/<name>/ holds the
checkpoints and metrics of each stage that trains a net, and checkpoints/ the resulting detector.
"""

import dataclasses
import logging
import math
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.config import experiment_json, schema
from jaxdet.config.batch_rule import apply_batch_rule
from jaxdet.config.dataset_fields import Devkit
from jaxdet.config.epochs import resolve_epochs
from jaxdet.config.experiment_json import is_trained
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.config.workdir import check_workdir
from jaxdet.data.datasets.formats import has_split
from jaxdet.doctor.finding import Finding
from jaxdet.doctor.first_look import first_look
from jaxdet.inputs import open_part, open_training_part
from jaxdet.io.lock import locked
from jaxdet.recipes.alternating import AlternatingTraining
from jaxdet.recipes.fast_rcnn_svm import FastRcnnSvmTraining
from jaxdet.recipes.joint import JointTraining
from jaxdet.recipes.rcnn import RcnnTraining
from jaxdet.recipes.svm_stages import check_svms_can_be_fitted

log = logging.getLogger(__name__)

RECIPES: dict[type[schema.Experiment], Any] = {
    schema.FasterRcnn: JointTraining,
    schema.FasterRcnnFpn: JointTraining,
    schema.FasterRcnnAlternating: AlternatingTraining,
    schema.FastRcnn: JointTraining,
    schema.Rcnn: RcnnTraining,
}


def train(
    config: ConfigDict, workdir: str | None, *, overridden: Collection[str] = (), images: int | None = None
) -> None:
    """Train as the config says; resume from the workdir's newest checkpoint where there is one.

    Args:
      workdir: None for runs/<name of the config>.
      overridden: fields that were set on the command line, which pretrained weights may not change ("net.width").
      images: only so many images of each split are used, for a dry run; None for all.

    Raises:
      InputError: a mistake in the config or the data; a workdir in use, of another config, not writable, or
        with files of the user's.
    """
    experiment = parse(config.to_dict())
    if {"training.steps", "training.epochs"} <= set(overridden):
        raise InputError("training.steps and training.epochs are both set; remove one of them.")
    recipe = RECIPES[type(experiment)]
    if isinstance(experiment, schema.FastRcnn) and experiment.head.scoring == "svm":
        recipe = FastRcnnSvmTraining
    if recipe in (RcnnTraining, FastRcnnSvmTraining):
        check_svms_can_be_fitted()  # before anything is written or downloaded
    check_workdir(workdir or experiment.default_workdir)
    with locked(workdir or experiment.default_workdir) as folder:
        experiment = resolve_config(experiment, folder, overridden=overridden)
        split = open_training_part(experiment)
        if images:
            split = split.first(images, folder / "data")
        if isinstance(experiment, schema.OneStage):
            batches = split.batches_per_epoch(experiment.training.batch_size) if experiment.training.epochs else 0
            experiment = resolve_epochs(experiment, batches_per_epoch=batches)
        training = recipe(experiment, folder, split)
        validation = open_part(experiment, "validation") if experiment.training.eval_every else None
        if images and validation:
            validation = validation.first(images, folder / "data")
        if jax.process_index() == 0:
            changes = experiment_json.claim(
                folder,
                dataclasses.asdict(experiment),
                split.dataset.class_names,
                images=split.dataset.fingerprint,
                validation_images="" if validation is None else validation.dataset.fingerprint,
                steps=_steps(experiment),
            )
            if changes:
                log.info("continuing at step %d with %s", experiment_json.newest_step(folder), ", ".join(changes))
        if isinstance(experiment.dataset, Devkit) and jax.process_index() == 0 and not is_trained(folder):
            _report(first_look(split.dataset, experiment))
        training.run(validation)
        _name_next(experiment, folder)


def _steps(experiment: schema.Experiment) -> float:
    """Return the steps of a training in one stage, by the batch rule; infinity for the others."""
    return apply_batch_rule(experiment).training.steps if isinstance(experiment, schema.OneStage) else math.inf


def _name_next(experiment: schema.Experiment, folder: Path) -> None:
    """Log the commands that come next; a folder without a test split is evaluated on its validation split."""
    dataset, splits, run = experiment.dataset, experiment.splits, shlex.quote(str(folder))
    no_test_split = isinstance(dataset, Devkit) and splits.validation and not has_split(dataset.devkit, splits.test)
    log.info(
        "done; next: python -m jaxdet evaluate --workdir=%s%s; python -m jaxdet predict --workdir=%s photo.jpg",
        *(run, " --split=validation" if no_test_split else "", run),
    )


def _report(findings: list[Finding]) -> None:
    for finding in findings:
        flags = f" ({shlex.join(finding.flags)})" if finding.flags else ""
        log.warning("doctor: %s%s", finding.text, flags)
    if findings:
        log.info("doctor: python -m jaxdet doctor, with the flags of this training, has all findings")
