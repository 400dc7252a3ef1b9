"""R-CNN's training (R-CNN, 2.3): the net is fine-tuned, its features go to disk, SVMs and box regressors are fitted.

Each stage has its place in workdir/stages/ and goes on where it was left; workdir/checkpoints/ gets the whole detector.
"""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxdet.building import build_crop_net, build_detector, search_parameters
from jaxdet.data.dataset import PreparedDataset as Dataset
from jaxdet.data.pipeline import image_batch as photo_batch
from jaxdet.fitting import Split, learning, run_stage, starting_from
from jaxdet.io.keyed_folder import claim_folder, load_arrays, save_arrays
from jaxdet.io.progress import progress
from jaxdet.linear.bbox_ridge import fit_bbox_ridge
from jaxdet.linear.features import FeatureFolder, mean_norm
from jaxdet.linear.regions import Regions, box_examples, regions_of
from jaxdet.linear.svm import fit_svms
from jaxdet.models.rcnn import rcnn_features
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import has_checkpoint
from jaxdet.training.state import digest
from jaxdet.types import Params

log = logging.getLogger(__name__)


def train_rcnn(config: ConfigDict, workdir: Path, data: Split, validation: Split | None) -> None:
    """Runs the stages in workdir/stages/ and saves the detector, in one process: the second half runs on one host."""
    if has_checkpoint(workdir):
        return
    stages = workdir / "stages"
    params = _fine_tune(config, stages / "1_fine_tuning", data, validation)
    key = _made_of(config, data[0], params)
    claim_folder(stages / "3_svms", key)  # before the hours that the features take
    if config.linear.bbox_regression:
        claim_folder(stages / "4_bbox_ridge", key)
    features = _extract(config, params, data, stages / "2_features", key)
    regions, names = _RegionsOf(*data), data[0].class_names
    params["svm"] = _fit_svms(features, regions, names, config.seed, stages / "3_svms")
    if config.linear.bbox_regression:
        params["bbox_ridge"] = _fit_boxes(features, regions, names, config.seed, stages / "4_bbox_ridge")
    save_params(workdir, params, step=config.training.steps)


def _made_of(config: ConfigDict, dataset: Dataset, params: Params) -> dict[str, Any]:
    """What the features depend on, and with them all that is fitted to them."""
    inputs = {"dataset": dataset.fingerprint, "proposals": search_parameters(config), "params": digest(params)}
    return inputs | {"context": config.model.context}


def _fit_svms(
    features: FeatureFolder, regions: Sequence[Regions], names: Sequence[str], seed: int, folder: Path
) -> dict[str, np.ndarray]:
    """Stage 3: f32[F,K] and f32[K]."""
    log.info(folder.name)
    draft = folder / "begun.npz"
    options = {"class_names": names, "seed": seed, "draft": draft, "name": folder.name}
    fitted = _kept(folder / "svms.npz", functools.partial(fit_svms, features.read("fc7"), regions, **options))
    draft.unlink(missing_ok=True)
    return fitted


def _fit_boxes(
    features: FeatureFolder, regions: Sequence[Regions], names: Sequence[str], seed: int, folder: Path
) -> dict[str, np.ndarray]:
    """Stage 4, a file for each class: f32[K,P5,4] and f32[K,4]."""
    log.info(folder.name)
    examples = [box_examples(regions[i]) for i in range(len(regions))]
    norm = mean_norm(features.read("pool5_norm"), seed=seed)
    fit = functools.partial(fit_bbox_ridge, features.read("pool5"), examples, mean_norm=norm)
    classes = progress(enumerate(names, start=1), name=folder.name, total=len(names), unit="class")
    fitted = [_kept(folder / f"{name}.npz", functools.partial(fit, label=label, name=name)) for label, name in classes]
    return {part: np.stack([arrays[part] for arrays in fitted]) for part in ("kernel", "bias")}


class _RegionsOf(Sequence):
    """[i] -> the regions of image i, made when they are asked for: a large split's overlaps would fill the memory."""

    def __init__(self, dataset: Dataset, proposals):
        self._dataset, self._proposals = dataset, proposals

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Regions:
        record = self._dataset.annotations(range(len(self))[i])
        return regions_of(record, self._proposals[i], num_classes=len(self._dataset.class_names))


def _fine_tune(config: ConfigDict, folder: Path, data: Split, validation: Split | None) -> Params:
    """Stage 1. It is validated by the softmax that it trains, for there are no SVMs yet."""
    softmax = config.copy_and_resolve_references()
    softmax.model.scoring = "softmax"
    detector = build_detector(softmax, data[0].class_names)
    learns = learning(config.training.frozen, detector)
    return run_stage(
        softmax, detector, data, name="1_fine_tuning", number=1, folder=folder,
        start=functools.partial(starting_from, config), learns=learns, validation=validation,
    )  # fmt: skip


def _extract(config: ConfigDict, params: Params, data: Split, folder: Path, key: Mapping[str, Any]) -> FeatureFolder:
    """Stage 2: fc7 of every region, pool5 of those that box regression learns from, and the length of every pool5."""
    dataset, proposals = data
    net = build_crop_net(config, len(dataset.class_names))
    sizes = {"context": config.model.context, "chunk": config.model.chunk}
    extract = jax.jit(rcnn_features(net, **sizes))
    widths = {"fc7": net.fc7_features, "pool5": int(np.prod(net.pool5_shape)), "pool5_norm": 1}
    stored = FeatureFolder(folder, key, widths)
    regions = _RegionsOf(*data)
    slots = max(len(dataset.annotations(i).boxes) + len(proposals[i]) for i in range(len(dataset)))
    sides = {"short_side": config.input.short_side, "long_side": config.input.long_side}
    params = jax.device_put(params)

    def extracted():
        """The rest of the images, one behind what was begun, so that the device works while the disk does."""
        running = None
        for i in range(len(stored), len(dataset)):
            known = regions[i]
            batch = photo_batch(dataset[i].image, **sides, proposals=known.boxes, max_proposals=slots)
            begun = known, extract(params, batch, batch.proposals, batch.proposals_valid)
            if running is not None:
                yield running
            running = begun
        if running is not None:
            yield running

    log.info("%s: %d of %d images are stored", folder.name, len(stored), len(dataset))
    for known, arrays in progress(extracted(), name=folder.name, total=len(dataset), done=len(stored)):
        stored.append(_rows(known, arrays))
    return stored


def _rows(regions: Regions, extracted) -> dict[str, np.ndarray]:
    """What is stored of an image's features; fetched whole, for a slice on the device is compiled for each length."""
    pool5, fc7 = (features[0, : len(regions.boxes)] for features in jax.device_get(extracted))
    pool5 = pool5.reshape(len(pool5), -1)
    near, _, _ = box_examples(regions)
    return {"fc7": fc7, "pool5": pool5[near], "pool5_norm": np.linalg.norm(pool5, axis=1, keepdims=True)}


def _kept(path: Path, fit: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `fit` gives, or gave when it was called before."""
    if not path.exists():
        save_arrays(path, fit())
    return load_arrays(path)
