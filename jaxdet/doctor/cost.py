"""Seconds per step, hours, memory and disk of a training, from compiling and timing one step of the largest images."""

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.config.epochs import resolve_epochs
from jaxdet.config.resolve import resolve_config
from jaxdet.config.schema import Experiment, FasterRcnn, FasterRcnnAlternating, FasterRcnnFpn, FastRcnn, OneStage
from jaxdet.data.buckets import Bucket, batches_per_epoch
from jaxdet.data.collate import empty_batch
from jaxdet.doctor.finding import Finding
from jaxdet.io.progress import waiting
from jaxdet.recipes.alternating import HEAD
from jaxdet.recipes.stage import make_stage, trainable_paths
from jaxdet.systems import build_alternating, build_detector, param_shapes
from jaxdet.training import state as train_state
from jaxdet.training.device_memory import available_bytes, batch_size_that_fits, gigabytes, needed_bytes
from jaxdet.training.sharding import data_mesh, replicate, shard_batch
from jaxdet.training.stage import Stage
from jaxdet.training.step import make_train_step
from jaxdet.types import Batch

TOPIC = "cost"
TIMED_STEPS = 3
LONG_STEP = 20.0  # seconds: a step that takes longer is timed once
LARGEST_BATCH = 16  # that is advised; torchvision's reference
SPARE = 0.9  # of a device's memory that a step may use


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a training takes.

    Attributes:
      stage: the one that was timed.
      seconds: of a step on images of `bucket`; NaN where the memory is too small to time one.
      hours: of all steps of the stage, with the sizes of the training images, without validation; NaN if not timed.
      memory: bytes of a step on each device, and `available` bytes there; None if unknown.
      fixed: bytes of the state and the gradients, which do not grow with the batch.
      checkpoints: bytes on disk.
    """

    stage: str
    bucket: Bucket
    batch_size: int
    steps: int
    compile_seconds: float
    seconds: float
    hours: float
    memory: int | None
    available: int | None
    fixed: int
    checkpoints: int


def estimate(
    experiment: Experiment,
    class_names: tuple[str, ...],
    used: Sequence[Bucket],
    *,
    workdir: str,
    overridden: Collection[str],
) -> tuple[Cost | None, list[Finding]]:
    """Return the cost of a training on images of these buckets, and what follows from it; None if not estimated."""
    try:
        experiment = resolve_config(experiment, Path(workdir), overridden=overridden)
        if isinstance(experiment, OneStage):
            per_epoch = batches_per_epoch(used, batch_size=experiment.training.batch_size)
            experiment = resolve_epochs(experiment, batches_per_epoch=per_epoch)
        stage = timed_stage(experiment, class_names)
        if stage is None:
            text = "the time of R-CNN is not estimated: most of it goes into Selective Search, features and SVMs"
            return None, [Finding("note", TOPIC, text)]
        slots = experiment.proposals.max_boxes if isinstance(experiment, FastRcnn) else 0
        cost = measure(stage, used, max_gt=experiment.input.max_gt, max_proposals=slots)
    except InputError as error:
        return None, [Finding("error", TOPIC, str(error).removesuffix("."))]
    except jax.errors.JaxRuntimeError as error:  # such as too little memory; the other findings are still reported
        reason = str(error).partition("\n")[0].removesuffix(".")
        return None, [Finding("error", TOPIC, f"a training step fails on this machine: {reason}")]
    findings = []
    if isinstance(experiment, FasterRcnnAlternating):
        text = f"only stage 1 of 4-step training was timed; the others, with {experiment.stages.fast_rcnn.steps} steps "
        findings.append(Finding("note", TOPIC, f"{text}of Fast R-CNN each, and the proposals between them, were not"))
    if isinstance(experiment, FastRcnn):
        text = (
            "the time of Selective Search, some seconds per image and core, comes before the training and is not in it"
        )
        findings.append(Finding("note", TOPIC, text))
    reference = experiment.training.reference_batch_size if isinstance(experiment, OneStage) else None
    findings += cost_findings(cost, accumulate=stage.accumulate, reference_batch_size=reference)
    return cost, findings


def timed_stage(experiment: Experiment, class_names: tuple[str, ...]) -> Stage | None:
    """Return the stage that stands for a training: joint training, Fast R-CNN, or the first of 4-step training.

    None for R-CNN, most of whose time goes into features and SVMs.
    """
    if isinstance(experiment, FasterRcnnAlternating):
        rpn, _ = build_alternating(experiment, class_names)
        paths = trainable_paths(rpn, experiment.training.frozen)
        trainable = frozenset(path for path in paths if not path.startswith(HEAD))
        return make_stage(experiment.stage(experiment.stages.rpn), rpn, trainable, name="1_rpn")
    if isinstance(experiment, FasterRcnn | FasterRcnnFpn | FastRcnn):
        detector = build_detector(experiment, class_names)
        return make_stage(experiment, detector, trainable_paths(detector, experiment.training.frozen), name="joint")
    return None


def measure(stage: Stage, used: Sequence[Bucket], *, max_gt: int, max_proposals: int) -> Cost:
    """Compile a step for the largest bucket and, where the memory is enough, time it on random images.

    Args:
      stage: see timed_stage.
      used: the bucket of each training image; at least one.
      max_gt, max_proposals: slots per image.
    """
    bucket = max(used, key=math.prod)
    mesh, key = data_mesh(), jax.random.key(0)
    state = replicate(train_state.create(_random_params(stage), stage.optimizer, key, trainable=stage.trainable), mesh)
    checkpoint = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    gradients = sum(leaf.nbytes for leaf in jax.tree.leaves(state.trainable))
    available = available_bytes(state)
    batch = shard_batch(random_batch(bucket, stage.batch_size, max_gt=max_gt, max_proposals=max_proposals), mesh)
    step = make_train_step(stage.detector.loss, stage.optimizer, mesh, accumulate=stage.accumulate)
    start = time.monotonic()
    with waiting(f"compiling a step of {stage.batch_size} images of {bucket[0]} x {bucket[1]} pixels"):
        program = step.lower(state, batch, stage.schedule(0)).compile()  # type: ignore[attr-defined]  # jitted
    compile_seconds = time.monotonic() - start
    memory = needed_bytes(program)
    fits = memory is None or available is None or memory <= available
    with waiting("timing the step"):
        seconds = _time(program, state, batch, stage) if fits else math.nan
    share = sum(count * math.prod(size) for size, count in Counter(used).items()) / (len(used) * math.prod(bucket))
    return Cost(
        stage=stage.name,
        bucket=bucket,
        batch_size=stage.batch_size,
        steps=stage.steps,
        compile_seconds=compile_seconds,
        seconds=seconds,
        hours=seconds * share * stage.steps / 3600,
        memory=memory,
        available=available,
        fixed=checkpoint + gradients,
        checkpoints=checkpoint * (stage.keep + 2),  # the newest, the best, and one that is being written
    )


def cost_findings(cost: Cost, *, accumulate: int, reference_batch_size: int | None) -> list[Finding]:
    """Return the batch size that the memory allows, where it is smaller or much larger than the config's.

    Args:
      reference_batch_size: of the config; None where its batch size belongs to stages.
    """
    if cost.memory is None or cost.available is None:
        return []
    room, unit = int(cost.available * SPARE), jax.device_count() * accumulate
    rows = batch_size_that_fits(cost.memory, room, fixed=cost.fixed, batch_size=cost.batch_size, unit=unit)
    height, width = cost.bucket
    step = f"a step of {cost.batch_size} images of {height}x{width} needs {gigabytes(cost.memory)} per device"
    if cost.memory > cost.available:
        text = f"{step}, which has {gigabytes(cost.available)}"
        if rows and reference_batch_size is not None:
            return [Finding("error", TOPIC, text, flags=_batch_flags(rows, cost.batch_size, reference_batch_size))]
        return [Finding("error", TOPIC, f"{text}; lower input.short_side and input.long_side, or net.width")]
    rows = min(rows, LARGEST_BATCH // unit * unit)
    if jax.default_backend() == "cpu" or reference_batch_size is None or rows < 2 * cost.batch_size:
        return []  # a CPU computes one image after the other anyway
    text = f"{step} of its {gigabytes(cost.available)}; fewer and larger steps use the device better"
    return [Finding("note", TOPIC, text, flags=_batch_flags(rows, cost.batch_size, reference_batch_size))]


def random_batch(bucket: Bucket, rows: int, *, max_gt: int, max_proposals: int) -> Batch:
    """Return a host batch of random images that fill the bucket, with two objects and all proposals in each."""
    batch = empty_batch(bucket, rows, max_gt=max_gt, max_proposals=max_proposals)
    rng, (height, width) = np.random.default_rng(0), bucket
    batch.image[:] = rng.integers(0, 256, batch.image.shape, np.uint8)
    batch.image_size[:], batch.scale[:], batch.image_valid[:] = bucket, 1, True
    batch.image_id[:] = np.arange(rows)
    for boxes, valid, count in (
        (batch.gt_boxes, batch.gt_valid, min(2, max_gt)),
        (batch.proposals, batch.proposals_valid, max_proposals),
    ):
        corners = rng.uniform(0, 1, (rows, count, 2, 2)) * (width, height)
        boxes[:, :count] = np.concatenate([corners.min(2), corners.max(2) + 1], axis=2)
        valid[:, :count] = True
    batch.gt_labels[batch.gt_valid] = 1
    return batch


def _random_params(stage: Stage) -> Any:
    """Return parameters of the detector's shapes: initialising them would be one more program to compile."""
    rng = np.random.default_rng(0)
    shapes = param_shapes(stage.detector)
    return jax.tree.map(lambda leaf: 0.01 * rng.standard_normal(leaf.shape, np.float32), shapes)


def _time(program: Any, state: Any, batch: Batch, stage: Stage) -> float:
    """Return the seconds of a step: the shortest of TIMED_STEPS after the first, or the first where it is long."""
    seconds: list[float] = []
    while len(seconds) <= TIMED_STEPS and not (seconds and seconds[0] > LONG_STEP):
        start = time.monotonic()
        state, metrics = program(state, batch, stage.schedule(0))
        jax.block_until_ready((state, metrics))
        seconds.append(time.monotonic() - start)
    return min(seconds)


def _batch_flags(rows: int, batch_size: int, reference: int) -> tuple[str, ...]:
    """Return the batch size, and the one that the config's rates and steps are meant for."""
    flags = (f"--config.training.batch_size={rows}",)
    return flags if reference else (*flags, f"--config.training.reference_batch_size={batch_size}")
