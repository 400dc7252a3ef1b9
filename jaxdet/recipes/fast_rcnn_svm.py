"""Fast R-CNN scored by SVMs (5.4): train it with its softmax, store fc7 of every region, fit R-CNN's SVMs to that.

Each stage has its folder in workdir/stages/ and resumes there; workdir/checkpoints/ gets the whole detector. The net is
that of the same config without SVMs, bit for bit, and its bbox_pred moves the boxes.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jaxdet.config.batch_rule import apply_batch_rule
from jaxdet.config.schema import FastRcnn
from jaxdet.inputs import Split
from jaxdet.io.keyed_folder import claim_folder
from jaxdet.linear.regions import Regions
from jaxdet.models.fast_rcnn import fast_rcnn_features
from jaxdet.recipes.joint import JointTraining
from jaxdet.recipes.svm_stages import Arrays, feature_key, fit_split_svms, store_features
from jaxdet.systems import build_fast_rcnn_net
from jaxdet.training.checkpoints import save_params
from jaxdet.training.restore import check_whole, has_checkpoint


class FastRcnnSvmTraining:
    """Three stages in workdir/stages, by one process. The constructor checks the config; `run` trains or resumes."""

    def __init__(self, experiment: FastRcnn, workdir: Path, split: Split):
        self._experiment, self._workdir, self._split = experiment, workdir, split
        self._stages = workdir / "stages"
        # Training is validated by the softmax: there are no SVMs yet.
        softmax = dataclasses.replace(experiment, head=dataclasses.replace(experiment.head, scoring="softmax"))
        self._training = JointTraining(softmax, self._stages / "1_fast_rcnn", split)

    def run(self, validation: Split | None) -> None:
        if has_checkpoint(self._workdir):
            check_whole(self._workdir)
            return
        params = self._training.run(validation)
        split, experiment = self._split.with_proposals(), self._experiment
        key = feature_key(split, params)
        claim_folder(self._stages / "3_svms", key)  # before the hours that the features take

        net = build_fast_rcnn_net(experiment, len(split.dataset.class_names))
        extract = jax.jit(fast_rcnn_features(net, roi_pooling=experiment.head.roi_pooling))
        on_device = jax.device_put(params)
        features = store_features(
            self._stages / "2_features",
            key,
            split,
            widths={"fc7": len(params["cls_score"]["kernel"])},
            extract=lambda batch: extract(on_device, batch),
            rows=_fc7_rows,
        )
        svms = fit_split_svms(self._stages / "3_svms", features, split, seed=experiment.seed)
        save_params(self._workdir, params | {"svm": svms}, step=apply_batch_rule(experiment).training.steps)


def _fc7_rows(regions: Regions, fc7: np.ndarray) -> Arrays:
    return {"fc7": fc7[0, : len(regions.boxes)]}
