"""Loading a trained detector: a workdir, or one of its checkpoints, becomes a function from images to detections."""

import dataclasses
import logging
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np

from jaxdet.checks import InputError, at_least
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.config.schema import Experiment, FastRcnn, Rcnn
from jaxdet.data.buckets import Bucket, assign_buckets
from jaxdet.inputs import image_batch
from jaxdet.io.home import expand_home
from jaxdet.models.detector import Detector
from jaxdet.nets.svd import compress
from jaxdet.ops.boxes_np import box_clip
from jaxdet.systems import SYSTEMS, build_detector, check_params
from jaxdet.training.restore import checkpoint_folder, find_checkpoint, restore_params, saved_steps
from jaxdet.training.sharding import DETECTION_MIB, scratch_memory
from jaxdet.types import Batch, Detections, ImageDetections, Params
from jaxdet.weights.coco import CATEGORIES, UNUSED
from jaxdet.weights.pretrained import PRETRAINED, load_pretrained

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Published:
    """A published detector: its name in weights.pretrained ('coco'), its config, and a file or address of it."""

    name: str
    config: Mapping[str, Any]
    file: str = ""


class LoadedDetector:
    """A trained detector.

    Attributes:
      class_names: K names; label k is class_names[k - 1].
      experiment: the config it was trained with.
      default_threshold: the minimum score of a detection unless a call gives one: 0.5, or 0 for the margins of SVMs.
      batch_size: images per call of the device.
    """

    def __init__(self, experiment: Experiment, class_names: tuple[str, ...], source: Path | Params, batch_size: int):
        at_least("load_detector: batch_size", batch_size, 1)
        self.experiment, self.class_names, self.batch_size = experiment, class_names, batch_size
        self.default_threshold = SYSTEMS[experiment.system].default_threshold(experiment)
        detector, self._params = restore(source, experiment, class_names)
        self._predict = jax.jit(
            detector.predict, compiler_options=scratch_memory(jax.default_backend(), mib=DETECTION_MIB)
        )
        self._compiled: set[str] = set()  # sizes of buckets

    @overload
    def __call__(self, images: np.ndarray, threshold: float | None = None) -> ImageDetections: ...

    @overload
    def __call__(self, images: Sequence[np.ndarray], threshold: float | None = None) -> list[ImageDetections]: ...

    def __call__(
        self, images: np.ndarray | Sequence[np.ndarray], threshold: float | None = None
    ) -> ImageDetections | list[ImageDetections]:
        """Detect the objects in one image, or in each image of a list.

        Images of one bucket share batches; each bucket is compiled once.

        Args:
          images: u8[H,W,3] RGB, or a list of such; their sizes may differ.
          threshold: minimum score of a detection; None for default_threshold.

        Returns:
          For each image its detections, best first, boxes in pixels of that image.

        Raises:
          InputError: an image is not a u8[H,W,3], `images` is no list, or no score can reach the threshold.
        """
        if isinstance(images, np.ndarray):
            return self([images], threshold)[0]
        if not isinstance(images, Sequence):
            raise InputError(
                f"detector: images must be an array u8[H,W,3] or a list of such, got {type(images).__name__}; check "
                "that the image was read (cv2.imread returns None where it cannot)."
            )
        threshold = self.check_threshold(threshold)
        sizes = []
        waiting: dict[tuple[int, ...], list[tuple[int, Batch]]] = defaultdict(list)  # per bucket
        detections: dict[int, ImageDetections] = {}
        for i, image in enumerate(images):
            batch = image_batch(self.experiment, _checked(image))
            sizes.append(np.array(np.shape(image)[:2]))
            bucket = waiting[batch.image.shape]
            bucket.append((i, batch))
            if len(bucket) == self.batch_size:
                detections |= self._detect(bucket, threshold)
                bucket.clear()
        for bucket in waiting.values():
            if bucket:
                detections |= self._detect(bucket, threshold)
        # They are clipped to the resized image, whose sides are rounded.
        return [
            dataclasses.replace(detections[i], boxes=box_clip(detections[i].boxes, size))
            for i, size in enumerate(sizes)
        ]

    def check_threshold(self, threshold: float | None) -> float:
        """Return the threshold, default_threshold for None.

        Raises:
          InputError: it is no number, or outside [0, 1] for scores that are probabilities.
        """
        check_threshold(self.experiment, threshold)
        return self.default_threshold if threshold is None else threshold

    def bucket_of(self, image: np.ndarray) -> Bucket:
        """Return the bucket of an image u8[H,W,3]: images of one bucket can share a batch."""
        options = self.experiment.input
        sides = {"short_side": options.short_side, "long_side": options.long_side}
        return assign_buckets(np.array([image.shape[:2]]), **sides)[0]

    def _detect(self, images: list[tuple[int, Batch]], threshold: float) -> dict[int, ImageDetections]:
        """Return number -> detections of at most batch_size images of one bucket; invalid rows fill up the batch."""
        filler = dataclasses.replace(images[0][1], image_valid=images[0][1].image_valid & False)
        rows = [batch for _, batch in images] + [filler] * (self.batch_size - len(images))
        batch = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
        height, width = batch.image.shape[1:3]
        if (size := f"{height}x{width}") not in self._compiled:
            log.info("compiling for images of %s", size)  # takes a minute on a CPU
            self._compiled.add(size)
        outputs = jax.device_get(self._predict(self._params, batch))
        return {
            i: self._image_detections(jax.tree.map(lambda x, row=row: x[row], outputs), threshold)
            for row, (i, _) in enumerate(images)
        }

    def _image_detections(self, row: Detections, threshold: float) -> ImageDetections:
        named = np.array([name != UNUSED for name in ("", *self.class_names)])
        shown = np.asarray(row.valid) & (np.asarray(row.scores) >= threshold) & named[np.asarray(row.labels)]
        labels = np.asarray(row.labels)[shown]
        names = tuple(self.class_names[label - 1] for label in labels)
        return ImageDetections(np.asarray(row.boxes)[shown], np.asarray(row.scores)[shown], labels, names)


def check_threshold(experiment: Experiment, threshold: float | None) -> None:
    """Check a minimum score before a detector is loaded; None is the default.

    Raises:
      InputError: it is no number, or outside [0, 1] for scores that are probabilities.
    """
    if threshold is None:
        return
    if isinstance(experiment, FastRcnn | Rcnn) and experiment.head.scoring == "svm":
        if not math.isfinite(threshold):
            raise InputError(f"threshold must be a finite margin of the SVMs, got {threshold}; 0 is usual.")
    elif not 0 <= threshold <= 1:
        raise InputError(f"threshold must be a probability in [0, 1], got {threshold}; 0.5 is usual.")


def run_path(workdir_or_checkpoint: str | os.PathLike) -> Path:
    """Return the path of a workdir, checkpoint or exported file; ~ is the home folder."""
    return Path(expand_home("workdir", workdir_or_checkpoint))


def trained_experiment(folder: Path, overriding: Experiment | None) -> tuple[Experiment, tuple[str, ...], list[str]]:
    """Return the experiment of a run, its class names, and in which fields `overriding` differs, which are logged.

    Args:
      folder: a workdir or an exported file.
      overriding: the experiment in place of the run's own; None for that.

    Raises:
      InputError: there is no such run, or the experiment contradicts its weights.
    """
    trained, class_names = experiment_json.read(folder)
    experiment = resolve_config(overriding or parse(trained), folder)
    changed = experiment_json.differences(trained, dataclasses.asdict(experiment))
    if changed:
        log.info("differs from training: %s", "; ".join(changed))
    return experiment, class_names, changed


def load_detector(
    workdir_or_checkpoint: str | os.PathLike,
    checkpoint: str | int = "best",
    *,
    batch_size: int = 1,
    config: Mapping[str, Any] | None = None,
) -> LoadedDetector:
    """Load a trained detector.

    detector = jaxdet.load_detector("runs/demo")
    detections = detector(image)

    Args:
      workdir_or_checkpoint: the folder that train.py or convert.py wrote, one of its checkpoints, as in
        runs/demo/checkpoints/2200, or a file that `jaxdet export` wrote.
      checkpoint: 'best' (by validation mAP; the last where none was validated), 'last' or a saved step. 'best' and
        'last' are ignored if the path is a checkpoint.
      batch_size: images per call of the device; larger is faster on an accelerator when images come in lists.
      config: the run's config with other values, as for head.detections; None for the run's own.

    Raises:
      InputError: there is no such workdir or checkpoint, it is broken, or the config does not fit its weights.
    """
    path = run_path(workdir_or_checkpoint)
    overriding = None if config is None else parse(config)
    experiment, class_names, _ = trained_experiment(experiment_json.run_folder(path), overriding)
    return LoadedDetector(experiment, class_names, choose_checkpoint(path, checkpoint), batch_size)


def load_published(published: Published, *, batch_size: int = 1) -> LoadedDetector:
    """Load a published detector, downloaded once; `batch_size` as in load_detector.

    Raises:
      InputError: it cannot be downloaded (says which file to put where), or the file holds another network.
    """
    experiment = parse(published.config)
    net = dataclasses.replace(experiment.net, preprocessing=PRETRAINED[published.name].preprocessing)
    params = load_pretrained(published.name, file=published.file)
    return LoadedDetector(dataclasses.replace(experiment, net=net), CATEGORIES, params, batch_size)


def choose_checkpoint(folder: Path, checkpoint: str | int) -> Path:
    """Return the checkpoint 'best', 'last' or of a step, and log which one that is: a run may still be training.

    Raises:
      InputError: it is none of these, or there is no such checkpoint.
    """
    if checkpoint not in ("best", "last") and not str(checkpoint).isdecimal():
        steps = ", ".join(map(str, saved_steps(checkpoint_folder(folder)))) or "none"
        raise InputError(f"checkpoint must be best, last or a saved step ({steps}), got {checkpoint!r}; correct it.")
    source = find_checkpoint(folder, None if checkpoint == "last" else checkpoint)
    log.info("checkpoint: %s", source)
    return source


def restore(source: Path | Params, experiment: Experiment, class_names: tuple[str, ...]) -> tuple[Detector, Params]:
    """Return the detector of an experiment and its parameters on the device, from a checkpoint or exported file.

    Raises:
      InputError: they do not fit each other.
    """
    params = restore_params(source) if isinstance(source, Path) else dict(source)
    what = f"checkpoint {source}" if isinstance(source, Path) else "the published file"
    if isinstance(experiment, Rcnn):
        if not experiment.linear.bbox_regression:
            params.pop("bbox_ridge", None)
        elif "bbox_ridge" not in params:
            raise InputError(
                f"linear.bbox_regression must be False for {source}, got True: it has no box regressors; "
                "pass --config.linear.bbox_regression=False."
            )
    classes = params["cls_score"]["bias"].size - 1 if "cls_score" in params else len(class_names)
    if classes != len(class_names):
        raise InputError(
            f"class_names must name the {classes} classes of {what}, got {len(class_names)}; name each once."
        )
    detector = build_detector(experiment, class_names)
    check_params(params, detector, what)
    ranks = experiment.evaluation.svd_ranks
    if any(ranks):
        params = compress(params, {name: rank for name, rank in zip(("fc6", "fc7"), ranks, strict=True) if rank})
        detector = build_detector(experiment, class_names, svd_ranks=ranks)
    return detector, jax.device_put(params)


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"detector: an image must be u8[H,W,3] RGB, got {image.dtype}{list(image.shape)}; convert it, as in "
            "np.asarray(PIL.Image.open(path).convert('RGB'))."
        )
    return image
