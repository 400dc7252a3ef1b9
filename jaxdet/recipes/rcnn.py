"""R-CNN's training: fine-tune the net, store its features, fit SVMs (R-CNN, 2.3) and box regressors (appendix C).

Each stage has its folder in workdir/stages/ and resumes there; workdir/checkpoints/ gets the whole detector.
"""

import dataclasses
import functools
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdet.checks import InputError, one_of
from jaxdet.config.experiment_json import is_trained
from jaxdet.config.fields import keywords
from jaxdet.config.schema import Rcnn
from jaxdet.inputs import Split
from jaxdet.io.keyed_folder import claim_folder
from jaxdet.io.progress import progress
from jaxdet.linear.bbox_ridge import fit_bbox_ridge
from jaxdet.linear.features import FeatureFolder, mean_norm
from jaxdet.linear.regions import MIN_IOU, Regions, box_examples
from jaxdet.models.rcnn import rcnn, rcnn_features
from jaxdet.recipes.initial_params import InitialWeights
from jaxdet.recipes.stage import make_stage, run_stage, trainable_paths
from jaxdet.recipes.svm_stages import Arrays, RegionsOf, feature_key, fit_split_svms, load_or_fit, store_features
from jaxdet.systems import build_crop_net
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import check_whole, has_checkpoint
from jaxdet.types import Params

log = logging.getLogger(__name__)

SAMPLINGS = ("per_image", "data_set")


class RcnnTraining:
    """Four stages in workdir/stages, by one process. The constructor checks the config; `run` trains or resumes."""

    def __init__(self, experiment: Rcnn, workdir: Path, split: Split):
        _check_sampling(experiment)
        self._experiment, self._workdir, self._split = experiment, workdir, split
        self._stages = workdir / "stages"
        self._net = build_crop_net(experiment, len(split.dataset.class_names))
        # Fine-tuning trains a softmax and is validated by it: there are no SVMs yet.
        softmax = rcnn(self._net, **keywords(dataclasses.replace(experiment.head, scoring="softmax"), "sampling"))
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
        context, pool5 = self._experiment.head.context, f"of IoU > {MIN_IOU}"
        key = feature_key(split, params, context=context, pool5=pool5)
        claim_folder(self._stages / "3_svms", key)  # before the hours that the features take
        if self._experiment.linear.bbox_regression:
            claim_folder(self._stages / "4_bbox_ridge", key)
        features = self._extract(params, split, key)
        params["svm"] = fit_split_svms(self._stages / "3_svms", features, split, seed=self._experiment.seed)
        if self._experiment.linear.bbox_regression:
            params["bbox_ridge"] = self._fit_box_regressors(features, split)
        save_params(self._workdir, params, step=self._stage.steps)

    def _fine_tune(self, split: Split, validation: Split | None) -> Params:
        """Stage 1: train the net."""
        head, folder = self._experiment.head, self._stages / self._stage.name
        if head.sampling == "data_set":
            split = dataclasses.replace(split, windows=head.roi_targets)
        return run_stage(self._stage, split, validation, folder=folder, initialise=self._weights.copy_into)

    def _extract(self, params: Params, split: Split, key: dict[str, Any]) -> FeatureFolder:
        """Stage 2: store fc7 of every region, pool5 of those near an object, and the norm of every pool5."""
        head, net = self._experiment.head, self._net
        extract = jax.jit(rcnn_features(net, context=head.context, chunk=head.chunk))
        params = jax.device_put(params)
        return store_features(
            self._stages / "2_features",
            key,
            split,
            widths={"fc7": net.fc7_features, "pool5": int(np.prod(net.pool5_shape)), "pool5_norm": 1},
            extract=lambda batch: extract(params, batch, batch.proposals, batch.proposals_valid),
            rows=_feature_rows,
        )

    def _fit_box_regressors(self, features: FeatureFolder, split: Split) -> Arrays:
        """Stage 4: fit one box regressor per class, each in a file; kernel f32[K,P5,4] and bias f32[K,4]."""
        folder, regions, names = self._stages / "4_bbox_ridge", RegionsOf(split), split.dataset.class_names
        log.info(folder.name)
        examples = [box_examples(regions[i]) for i in range(len(regions))]
        norm = mean_norm(features.read("pool5_norm"), seed=self._experiment.seed)
        fit = functools.partial(fit_bbox_ridge, features.read("pool5"), examples, mean_norm=norm)
        fitted = [
            load_or_fit(folder / f"{name}.npz", functools.partial(fit, label=label, name=name))
            for label, name in progress(enumerate(names, start=1), name=folder.name, total=len(names), unit="class")
        ]
        return {part: np.stack([arrays[part] for arrays in fitted]) for part in ("kernel", "bias")}


def _check_sampling(experiment: Rcnn) -> None:
    """Raise InputError for a sampling that does not exist, or one that does not fit the input."""
    one_of("head.sampling", experiment.head.sampling, SAMPLINGS)
    if experiment.head.sampling == "data_set" and experiment.input.flip:
        raise InputError(
            "input.flip must be False with head.sampling=data_set, which mirrors the windows, got True; remove it."
        )


def _feature_rows(regions: Regions, features: Any) -> Arrays:
    """Return the stored features of one image."""
    pool5, fc7 = (rows[0, : len(regions.boxes)] for rows in features)
    pool5 = pool5.reshape(len(pool5), -1)
    near, _, _ = box_examples(regions)
    return {"fc7": fc7, "pool5": pool5[near], "pool5_norm": np.linalg.norm(pool5, axis=1, keepdims=True)}
