"""Export of detection to StableHLO: a file of programs that run with jax and numpy, without jaxdet."""

import dataclasses
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxdet.checks import InputError, at_least, install
from jaxdet.config.schema import Experiment
from jaxdet.data.buckets import Bucket, buckets
from jaxdet.data.collate import empty_batch
from jaxdet.io.atomic import atomic_write
from jaxdet.models.detector import Detector
from jaxdet.ops.by_platform import lowered_for
from jaxdet.systems import SYSTEMS
from jaxdet.training.state import FlatParams, flatten, unflatten
from jaxdet.types import Params

SUFFIX = ".stablehlo"
PLATFORMS = ("cpu", "cuda", "tpu")


def check_stablehlo(experiment: Experiment, batch_size: int) -> None:
    """Check that a detector can be exported, before it is restored.

    Raises:
      InputError: it needs boxes of Selective Search; batch_size is below 1; flatbuffers is not installed.
    """
    at_least("--batch_size", batch_size, 1)
    if SYSTEMS[experiment.system].needs_proposals:
        raise InputError(
            f"--to={SUFFIX} must be of a detector that proposes its own boxes, got system {experiment.system}, which "
            "needs OpenCV's Selective Search; export it to .safetensors."
        )
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError(f"StableHLO needs flatbuffers, got none installed; {install('stablehlo')}.")


def write_stablehlo(
    path: Path,
    detector: Detector,
    params: Params,
    experiment: Experiment,
    class_names: tuple[str, ...],
    *,
    version: str,
    batch_size: int,
) -> None:
    """Write detection as a numpy archive (.npz): 'header', 'params/NAME' and '<height>x<width>/<platform>'.

    The header is JSON, its buckets from the smallest. The parameters are there once, as all programs take them. There
    is a program for each bucket and each of PLATFORMS: no program for several platforms can contain a TPU's kernels.
    Each is what jax.export serialises of

      (params {NAME: array}, image u8[B,H,W,3] RGB, image_size f32[B,2], scale f32[B])
        -> (boxes f32[B,D,4], scores f32[B,D], labels i32[B,D], valid bool[B,D])

    with the inputs of types.Batch and the outputs of types.Detections; preprocessing is part of it. B is fixed: on a
    TPU the backbone shares its strips among the images of a batch by their number.

    Args:
      path: the new file.
      version: of jaxdet, for the header.
      batch_size: B.

    Raises:
      OSError: the file cannot be written.
    """
    sides = {"short_side": experiment.input.short_side, "long_side": experiment.input.long_side}
    shapes = sorted(buckets(**sides), key=math.prod)
    header = {
        "version": version,
        "name": experiment.name,
        "class_names": class_names,
        **sides,
        "buckets": shapes,
        "batch_size": batch_size,
        "platforms": PLATFORMS,
        "preprocessing": experiment.net.preprocessing,
        "threshold": SYSTEMS[experiment.system].default_threshold(experiment),
    }
    flat = flatten(params)
    entries: dict[str, Any] = {"header": np.array(json.dumps(header, ensure_ascii=False))}
    entries |= {f"params/{name}": np.asarray(leaf) for name, leaf in flat.items()}
    for bucket in shapes:
        for platform in PLATFORMS:
            program = _program(detector, flat, bucket, batch_size, platform)
            entries[f"{bucket[0]}x{bucket[1]}/{platform}"] = np.frombuffer(program.serialize(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, **entries)


def _program(detector: Detector, flat: FlatParams, bucket: Bucket, batch_size: int, platform: str) -> export.Exported:
    """Return detection in one bucket, lowered for one of PLATFORMS."""
    batch = empty_batch(bucket, batch_size, max_gt=1, max_proposals=0)
    arguments = jax.tree.map(_shape, (flat, batch.image, batch.image_size, batch.scale))
    with lowered_for("gpu" if platform == "cuda" else platform):
        return export.export(jax.jit(_detection(detector, bucket, batch_size)), platforms=[platform])(*arguments)


def _detection(detector: Detector, bucket: Bucket, batch_size: int) -> Callable[..., tuple[jax.Array, ...]]:
    def detect(params: FlatParams, image: jax.Array, image_size: jax.Array, scale: jax.Array) -> tuple[jax.Array, ...]:
        batch = jax.tree.map(jnp.asarray, empty_batch(bucket, batch_size, max_gt=1, max_proposals=0))
        valid = jnp.ones_like(batch.image_valid)
        batch = dataclasses.replace(batch, image=image, image_size=image_size, scale=scale, image_valid=valid)
        detections = detector.predict(unflatten(params), batch)
        return detections.boxes, detections.scores, detections.labels, detections.valid

    return detect


def _shape(array: jax.Array | np.ndarray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
