"""R-CNN's training: fine-tune the net, store its features, fit SVMs (R-CNN, 2.3) and box regressors (appendix C).

Each stage has its folder in workdir/stages/ and resumes there; workdir/checkpoints/ gets the whole detector.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError
from jaxdet.config.experiment_json import is_trained
from jaxdet.config.fields import keywords
from jaxdet.config.schema import Rcnn
from jaxdet.data.pipeline import image_batch
from jaxdet.inputs import Split
from jaxdet.io.keyed_folder import claim_folder, load_arrays, save_arrays
from jaxdet.io.progress import progress
from jaxdet.linear.bbox_ridge import fit_bbox_ridge
from jaxdet.linear.features import FeatureFolder, mean_norm
from jaxdet.linear.regions import MIN_IOU, Regions, box_examples, regions_of
from jaxdet.linear.svm import check_installed, fit_svms
from jaxdet.models.rcnn import rcnn, rcnn_features
from jaxdet.recipes.initial_params import InitialWeights
from jaxdet.recipes.stage import make_stage, run_stage, trainable_paths
from jaxdet.systems import build_crop_net
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import check_whole, has_checkpoint
from jaxdet.training.state import digest
from jaxdet.types import Indexed, Params

log = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def check_rcnn_can_train() -> None:
    """Raise InputError where there are several processes, for the linear stages run on one host, or no scikit-learn."""
    if jax.process_count() > 1:
        raise InputError(f"R-CNN must be trained by one process, got {jax.process_count()}; remove --distributed.")
    check_installed()


class RcnnTraining:
    """Four stages in workdir/stages, by one process. The constructor checks the config; `run` trains or resumes."""

    def __init__(self, experiment: Rcnn, workdir: Path, split: Split):
        self._experiment, self._workdir, self._split = experiment, workdir, split
        self._stages = workdir / "stages"
        self._net = build_crop_net(experiment, len(split.dataset.class_names))
        # Fine-tuning trains a softmax and is validated by it: there are no SVMs yet.
        softmax = rcnn(self._net, **keywords(dataclasses.replace(experiment.head, scoring="softmax")))
        trainable = trainable_paths(softmax, experiment.training.frozen)
        self._stage = make_stage(experiment, softmax, trainable, name="1_fine_tuning", number=1)
        self._weights = InitialWeights(experiment.training)
        if not is_trained(workdir):
            self._weights.check(softmax)  # before the proposal search, which takes hours

    def run(self, validation: Split | None) -> None:
        if has_checkpoint(self._workdir):
            check_whole(self._workdir)
            return
        split = self._split.with_proposals()
        validation = None if validation is None else validation.with_proposals()
        params = self._fine_tune(split, validation)
        key = self._feature_key(params)
        claim_folder(self._stages / "3_svms", key)  # before the hours that the features take
        if self._experiment.linear.bbox_regression:
            claim_folder(self._stages / "4_bbox_ridge", key)
        features = self._extract(params, split, key)
        params["svm"] = self._fit_svms(features, split)
        if self._experiment.linear.bbox_regression:
            params["bbox_ridge"] = self._fit_box_regressors(features, split)
        save_params(self._workdir, params, step=self._stage.steps)

    def _fine_tune(self, split: Split, validation: Split | None) -> Params:
        """Stage 1: train the net."""
        folder = self._stages / self._stage.name
        return run_stage(self._stage, split, validation, folder=folder, initialise=self._weights.copy_into)

    def _feature_key(self, params: Params) -> dict[str, Any]:
        """Return what the features, and all that is fitted to them, depend on."""
        inputs = {
            "dataset": self._split.dataset.fingerprint,
            "proposals": self._split.proposals_key(),
            "pool5": f"of IoU > {MIN_IOU}",
        }
        return inputs | {"params": digest(params), "context": self._experiment.head.context}

    def _extract(self, params: Params, split: Split, key: dict[str, Any]) -> FeatureFolder:
        """Stage 2: store fc7 of every region, pool5 of those near an object, and the norm of every pool5."""
        folder, dataset, proposals = self._stages / "2_features", split.dataset, split.proposals
        assert proposals is not None
        head, net = self._experiment.head, self._net
        extract = jax.jit(rcnn_features(net, context=head.context, chunk=head.chunk))
        widths = {"fc7": net.fc7_features, "pool5": int(np.prod(net.pool5_shape)), "pool5_norm": 1}
        stored = FeatureFolder(folder, key, widths)
        regions = _RegionsOf(split)
        slots = max(len(dataset.annotations(i).boxes) + len(proposals[i]) for i in range(len(dataset)))
        params = jax.device_put(params)

        def extracted() -> Iterator[tuple[Regions, Any]]:
            """Yield each image one step late: the device computes the next one while the host writes this one."""
            previous = None
            for i in range(len(stored), len(dataset)):
                image_regions = regions[i]
                batch = image_batch(dataset[i].image, split.options, proposals=image_regions.boxes, max_proposals=slots)
                current = image_regions, extract(params, batch, batch.proposals, batch.proposals_valid)
                if previous is not None:
                    yield previous
                previous = current
            if previous is not None:
                yield previous

        log.info("%s: %d of %d images are stored", folder.name, len(stored), len(dataset))
        for image_regions, arrays in progress(extracted(), name=folder.name, total=len(dataset), done=len(stored)):
            stored.append(_feature_rows(image_regions, arrays))
        return stored

    def _fit_svms(self, features: FeatureFolder, split: Split) -> Arrays:
        """Stage 3: fit one SVM per class; kernel f32[F,K] and bias f32[K]."""
        folder = self._stages / "3_svms"
        log.info(folder.name)
        draft = folder / "unfinished.npz"
        fit = functools.partial(
            fit_svms,
            features.read("fc7"),
            _RegionsOf(split),
            class_names=split.dataset.class_names,
            seed=self._experiment.seed,
            draft=draft,
            name=folder.name,
        )
        svms = _load_or_fit(folder / "svms.npz", fit)
        draft.unlink(missing_ok=True)
        return svms

    def _fit_box_regressors(self, features: FeatureFolder, split: Split) -> Arrays:
        """Stage 4: fit one box regressor per class, each in a file; kernel f32[K,P5,4] and bias f32[K,4]."""
        folder, regions, names = self._stages / "4_bbox_ridge", _RegionsOf(split), split.dataset.class_names
        log.info(folder.name)
        examples = [box_examples(regions[i]) for i in range(len(regions))]
        norm = mean_norm(features.read("pool5_norm"), seed=self._experiment.seed)
        fit = functools.partial(fit_bbox_ridge, features.read("pool5"), examples, mean_norm=norm)
        fitted = [
            _load_or_fit(folder / f"{name}.npz", functools.partial(fit, label=label, name=name))
            for label, name in progress(enumerate(names, start=1), name=folder.name, total=len(names), unit="class")
        ]
        return {part: np.stack([arrays[part] for arrays in fitted]) for part in ("kernel", "bias")}


class _RegionsOf(Indexed[Regions]):
    """[i] -> the regions of image i, computed on request: the overlaps of a large split would fill the memory."""

    def __init__(self, split: Split):
        assert split.proposals is not None
        self._dataset, self._proposals = split.dataset, split.proposals

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Regions:
        i = range(len(self))[i]
        num_classes = len(self._dataset.class_names)
        return regions_of(self._dataset.annotations(i), self._proposals[i], num_classes=num_classes)


def _feature_rows(regions: Regions, features: Any) -> Arrays:
    """Return the stored features of one image. Fetched whole: each length of a slice on the device compiles again."""
    pool5, fc7 = (rows[0, : len(regions.boxes)] for rows in jax.device_get(features))
    pool5 = pool5.reshape(len(pool5), -1)
    near, _, _ = box_examples(regions)
    return {"fc7": fc7, "pool5": pool5[near], "pool5_norm": np.linalg.norm(pool5, axis=1, keepdims=True)}


def _load_or_fit(path: Path, fit: Callable[[], Arrays]) -> Arrays:
    if not path.exists():
        save_arrays(path, fit())
    return load_arrays(path)
