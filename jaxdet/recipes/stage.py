"""One training stage: made from its experiment, then run in a folder of its own with validation and checkpoints."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxdet.checks import InputError, nearest
from jaxdet.config.batch_rule import apply_batch_rule
from jaxdet.config.fields import keywords
from jaxdet.config.schema import OneStage
from jaxdet.config.training_fields import Optim
from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.evaluation.tables import clip_to_images
from jaxdet.evaluation.voc_ap import average_precision, mean_ap
from jaxdet.inputs import Split
from jaxdet.io.progress import counting, waiting
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import TARGET_STATISTICS
from jaxdet.nets.resnet50 import FROZEN_NORM
from jaxdet.recipes.pictures import Pictures
from jaxdet.systems import param_shapes
from jaxdet.training import loop, state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.profile import check_profile
from jaxdet.training.restore import finished_params, has_checkpoint
from jaxdet.training.sharding import (
    DETECTION_MIB,
    check_batch_size,
    data_mesh,
    on_own_rows,
    platform_of,
    replicate,
    scratch_memory,
    shard_batch,
)
from jaxdet.training.stage import Stage
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch, Detections, Params

log = logging.getLogger(__name__)


def trainable_paths(detector: Detector, frozen: tuple[str, ...]) -> frozenset[str]:
    """Return the paths of the parameters that train: those whose names start with none of `frozen`.

    Raises:
      InputError: no layer starts with one of these names.
    """
    shapes = param_shapes(detector)
    paths = state.flatten(shapes)
    for name in frozen:
        if not any(path.startswith(name) for path in paths):
            raise InputError(f"training.frozen: no layer {name!r}; {nearest(name, shapes)}")
    return frozenset(path for path in paths if not path.startswith((*frozen, TARGET_STATISTICS, FROZEN_NORM)))


def make_stage(
    experiment: OneStage, detector: Detector, trainable: frozenset[str], *, name: str, number: int = 0
) -> Stage:
    """Build the stage and its optimiser.

    Args:
      trainable: paths of the parameters that train.
      name: of the stage, in the log and in metrics.jsonl.
      number: which of several stages; each has its own random numbers.

    Raises:
      InputError: a setting of the optimiser, steps to trace that are out of range, or a batch size that the devices
        cannot share.
    """
    experiment = apply_batch_rule(experiment)
    training = experiment.training
    check_profile(training.profile, steps=training.steps)
    check_batch_size(training.batch_size, data_mesh(), accumulate=training.accumulate)
    if training.patience and not training.eval_every:
        raise InputError(
            f"training.patience={training.patience} needs validations, got training.eval_every=0; set it to the steps "
            "between two."
        )
    if training.eval_every:
        check_batch_size(experiment.evaluation.batch_size, data_mesh())
    _warn_of_schedule(name, experiment.optim, training.steps)
    optimizer, schedule = make_optimizer(**keywords(experiment.optim), steps=training.steps)
    return Stage(
        name=name,
        number=number,
        seed=experiment.seed,
        detector=detector,
        trainable=trainable.__contains__,
        optimizer=optimizer,
        schedule=schedule,
        steps=training.steps,
        batch_size=training.batch_size,
        accumulate=training.accumulate,
        log_every=training.log_every,
        eval_every=training.eval_every,
        checkpoint_every=training.checkpoint_every,
        profile=training.profile,
        keep=training.keep,
        patience=training.patience,
        deadline=time.monotonic() + 3600 * training.max_hours if training.max_hours else math.inf,
    )


def _warn_of_schedule(name: str, optim: Optim, steps: int) -> None:
    """Warn if a stage is too short for its learning-rate schedule."""
    late = [step for step in optim.boundaries if step >= steps]
    if late and optim.schedule == "step":
        log.warning(
            "%s: the learning rate does not drop at step %s (boundaries): the training ends at step %d; scale the "
            "boundaries with the steps",
            *(name, ", ".join(map(str, late)), steps),
        )
    if optim.warmup_steps > steps:
        log.warning(
            "%s: the learning rate rises for %d steps (optim.warmup_steps) and never reaches its full value: the "
            "training ends at step %d; lower warmup_steps",
            *(name, optim.warmup_steps, steps),
        )


def run_stage(
    stage: Stage,
    split: Split,
    validation: Split | None,
    *,
    folder: Path,
    initialise: Callable[[Params], Params],
    pictures: Pictures | None = None,
) -> Params:
    """Train a stage and return the last parameters; a numbered stage that was finished before is only read.

    Args:
      validation: the split that is scored every stage.eval_every steps; None for never.
      folder: of the stage's checkpoints and metrics.
      initialise: random parameters -> those to start from; not called in a folder with a checkpoint.
      pictures: draws the first batches and the validations; None for no pictures.
    """
    if stage.number and (finished := finished_params(folder, steps=stage.steps)):
        log.info("%s: finished before, at step %d", stage.name, stage.steps)
        return finished
    log.info("%s: initialising", stage.name)
    mesh = data_mesh()
    key = jax.random.key(stage.seed)
    key = jax.random.fold_in(key, stage.number) if stage.number else key
    with waiting(f"{stage.name}: initialising"):
        params = jax.jit(stage.detector.init, compiler_options=_run_once())(jax.random.fold_in(key, 0))
        if not has_checkpoint(folder):
            params = initialise(params)
        fresh = state.create(params, stage.optimizer, jax.random.fold_in(key, 1), trainable=stage.trainable)
        fresh = jax.block_until_ready(replicate(fresh, mesh))
        evaluate = (
            None if validation is None else _validation(stage.detector, validation, mesh, pictures, name=stage.name)
        )
    batches = split.train_batches(seed=stage.seed, batch_size=stage.batch_size)
    last = loop.run(
        stage,
        fresh,
        make_train_step(stage.detector.loss, stage.optimizer, mesh, accumulate=stage.accumulate),
        pictures.of_first_batches(batches) if pictures else batches,
        split.train_shapes(seed=stage.seed, batch_size=stage.batch_size, steps=stage.steps),
        put=lambda batch: shard_batch(batch, mesh),
        workdir=folder,
        image_names=split.dataset.names,
        evaluate=evaluate,
    )
    return jax.device_get(state.params(last))


def _run_once() -> dict[str, int | bool]:
    """Return compiler options of a program that runs once: on CPU it takes longer to compile than to run."""
    if jax.default_backend() != "cpu":
        return {}
    options: dict[str, int | bool] = {"xla_backend_optimization_level": 0}
    if jax.__version_info__ < (0, 11, 1):  # later versions do not know this option
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def _validation(
    detector: Detector, split: Split, mesh: Mesh, pictures: Pictures | None, *, name: str
) -> Callable[[Params, int], dict[str, float]]:
    """Return (params, step) -> val_loss (the training loss, sampled alike each time) and val_map (VOC10, IoU 0.5)."""
    dataset = split.dataset
    truth = ground_truth_table(dataset)

    def on_rows(params: Params, batch: Batch) -> tuple[Detections, tuple[jax.Array, jax.Array]]:
        loss, _ = detector.loss(params, batch, jax.random.key(0))
        images = jnp.sum(batch.image_valid)
        return detector.predict(params, batch), (loss * images.astype(jnp.float32), images)

    options = scratch_memory(platform_of(mesh), mib=DETECTION_MIB)
    run = jax.jit(on_own_rows(on_rows, mesh), compiler_options=options)

    def evaluate(params: Params, step: int) -> dict[str, float]:
        losses = []

        def predict(batch: Batch) -> Detections:
            detections, sums = run(params, shard_batch(batch, mesh))
            losses.append(sums)
            return detections

        with counting(f"{name}: validating", total=len(dataset)) as finish:
            detections = detect_split(predict, split.eval_batches(), finish=finish)
        detections = clip_to_images(detections, dataset.image_sizes)
        per_class = average_precision(detections, truth, num_classes=len(dataset.class_names), metric="voc10")
        if pictures:
            pictures.of_validation(step, detections, dataset)
        loss, images = np.sum(jax.device_get(losses), axis=0)
        return {"val_loss": float(loss / images), "val_map": mean_ap(per_class)}

    return evaluate
