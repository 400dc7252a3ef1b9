"""Runs one stage of training from a config: its start, its optimiser, its validation, in a folder of its own."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxdet.building import batches_of, eval_batches_of, shapes
from jaxdet.checks import InputError, bind, nearest
from jaxdet.data.dataset import PreparedDataset as Dataset
from jaxdet.evaluation.detect import detect_split, ground_truth_table
from jaxdet.evaluation.voc_ap import average_precision, mean_ap
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import TARGET_STATISTICS, with_target_statistics
from jaxdet.proposals.delta_statistics import delta_statistics
from jaxdet.starting import starting_params
from jaxdet.training import loop, state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.restore import find_checkpoint, finished_params, has_checkpoint
from jaxdet.training.sharding import check_batch_size, data_mesh, replicate, shard_batch
from jaxdet.training.stage import Stage
from jaxdet.training.step import make_train_step
from jaxdet.training.transfer import check_fits, init_from
from jaxdet.types import Batch, Detections, Params, ProposalTable
from jaxdet.workdir import is_trained

log = logging.getLogger(__name__)

Split = tuple[Dataset, ProposalTable | None]


def run_stage(
    config: ConfigDict,
    detector: Detector,
    data: Split,
    *,
    name: str,
    number: int = 0,
    folder: Path,
    start: Callable[[Params], Params],
    learns: Callable[[str], bool],
    validation: Split | None,
) -> Params:
    """Trains for config.training.steps and returns the last parameters; a stage that was finished is only read.

    Args:
      data: the training split and its proposals.
      name: what its progress is called.
      number: which of several stages: each draws its own random numbers.
      folder: its checkpoints and metrics.
      start: freshly drawn parameters -> those to start from; not called in a folder with a checkpoint.
      learns: path -> whether this parameter learns.
      validation: the split that is scored every config.training.eval_every steps; None for never.
    """
    training, mesh = config.training, data_mesh()
    if number and (done := finished_params(folder, steps=training.steps)):
        log.info("%s: finished before, at step %d", name, training.steps)
        return done
    dataset, proposals = data
    batches = batches_of(config, dataset, proposals)
    tx, learning_rate = _optimizer(config)
    often = {field: training[field] for field in ("accumulate", "log_every", "eval_every", "checkpoint_every", "keep")}
    stage = Stage(
        name=name, number=number, seed=config.seed, detector=detector, trainable=learns, optimizer=tx,
        learning_rate=learning_rate, steps=training.steps, **often,
    )  # fmt: skip
    validate = None if validation is None else _validation(config, detector, validation, mesh)
    key = jax.random.key(config.seed)
    key = jax.random.fold_in(key, number) if number else key
    params = jax.jit(detector.init, compiler_options=_once())(jax.random.fold_in(key, 0))
    if not has_checkpoint(folder):
        params = start(params)
    fresh = state.create(params, tx, jax.random.fold_in(key, 1), trainable=learns)
    last = loop.run(
        stage,
        replicate(fresh, mesh),
        make_train_step(detector.loss, tx, mesh, accumulate=training.accumulate),
        batches,
        put=lambda batch: shard_batch(batch, mesh),
        workdir=folder,
        image_names=dataset.names,
        evaluate=validate,
    )
    return jax.device_get(state.params(last))


def starting_from(config: ConfigDict, fresh: Params) -> Params:
    """Freshly drawn parameters with those of the run or the weights that training starts from, as far as they fit."""
    if config.training.init_from:
        log.info("training starts from %s", find_checkpoint(config.training.init_from, "best"))
    source = starting_params(config)
    return fresh if source is None else init_from(source, fresh)


def check_training(config: ConfigDict, detector: Detector, dataset: Dataset, workdir: Path) -> None:
    """Raises InputError for a mistake run_stage would find, before proposals are searched and a workdir claimed."""
    batches_of(config, dataset, None)
    if config.training.eval_every:
        check_batch_size(config.evaluation.batch_size, data_mesh())
    _optimizer(config)
    learning(config.training.frozen, detector)
    if "proposals" in config and not is_trained(workdir):  # hours of search come first; seconds to read a file twice
        source = starting_params(config)
        if source is not None:
            check_fits(source, shapes(detector))


def learning(frozen: Sequence[str], detector: Detector) -> Callable[[str], bool]:
    """Says of a parameter's path whether it learns: not if it starts with one of the names in `frozen`."""
    layers = shapes(detector)
    for name in frozen:
        if not any(path.startswith(name) for path in state.flatten(layers)):
            raise InputError(f"training.frozen: no layer {name!r}; {nearest(name, layers)}")
    return lambda path: not path.startswith((*frozen, TARGET_STATISTICS))


def normalised(params: Params, config: ConfigDict, data: Split) -> Params:
    """Fast R-CNN's parameters with the mean and std of the deltas of each class over the training proposals."""
    dataset, proposals = data
    statistics = delta_statistics(
        ((dataset.annotations(i), proposals[i]) for i in range(len(dataset))),
        num_classes=len(dataset.class_names),
        positive_iou=config.model.roi_targets.positive_iou,
        mirrored=config.input.flip,
        use_difficult=config.input.use_difficult,
    )
    return with_target_statistics(params, *statistics)


def _once() -> dict[str, int | bool]:
    """Compiler options of a program that runs once: on CPU, drawing each kernel takes longer to compile than to do."""
    quickly = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
    return quickly if jax.default_backend() == "cpu" else {}


def _optimizer(config: ConfigDict):
    """The update rule and its learning rate."""
    return bind(make_optimizer, config.optim, section="optim", steps=config.training.steps)()


def _validation(
    config: ConfigDict, detector: Detector, split: Split, mesh: Mesh
) -> Callable[[Params, int], dict[str, float]]:
    """(params, step) -> val_loss (the training loss, with the same draws each time) and val_map (VOC10, IoU 0.5)."""
    check_batch_size(config.evaluation.batch_size, mesh)
    dataset, proposals = split
    truth = ground_truth_table(dataset)

    @jax.jit
    def run(params, batch):
        loss, _ = detector.loss(params, batch, jax.random.key(0))
        return detector.predict(params, batch), loss, jnp.sum(batch.image_valid)

    def evaluate(params: Params, step: int) -> dict[str, float]:
        losses = []

        def predict(batch: Batch) -> Detections:
            found, loss, images = run(params, shard_batch(batch, mesh))
            losses.append((loss, images))
            return found

        found = detect_split(predict, eval_batches_of(config, dataset, proposals))
        per_class = average_precision(found, truth, num_classes=len(dataset.class_names), metric="voc10")
        loss, images = np.array(jax.device_get(losses)).T
        return {"val_loss": float(np.average(loss, weights=images)), "val_map": mean_ap(per_class)}

    return evaluate
