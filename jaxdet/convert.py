"""Conversion of another project's trained detector to a workdir, for evaluate.py, predict.py and init_from."""

import dataclasses
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.fields import Linear, keywords
from jaxdet.config.parse import parse
from jaxdet.config.schema import Experiment, FasterRcnn, FasterRcnnFpn, OneStage, Rcnn
from jaxdet.config.workdir import check_workdir
from jaxdet.data.datasets.voc import CLASS_NAMES
from jaxdet.io.lock import locked
from jaxdet.models.fast_rcnn import fold_target_statistics, with_target_statistics
from jaxdet.systems import build_crop_net, build_detector, check_params
from jaxdet.training import state
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.restore import has_checkpoint
from jaxdet.types import Params
from jaxdet.weights.coco import CATEGORIES
from jaxdet.weights.detectors import ForeignDetector, read_detector
from jaxdet.weights.rcnn_mat import read_box_regressors, read_svms

log = logging.getLogger(__name__)


def convert(
    config: ConfigDict,
    file: str | None,
    workdir: str | None,
    class_names: Sequence[str] | None,
    *,
    svms: str | None = None,
    box_regressors: str | None = None,
) -> None:
    """Write the detector in a .pth or .caffemodel file as the checkpoint of step 0 of a new workdir.

    Its widths and the number of its classes are read from its parameters. Anchors, thresholds and image sizes are not
    in such a file and come from the config.

    Args:
      class_names: in the order of its head, without the background; None for VOC's twenty,
        for a feature pyramid COCO's categories.
      svms: rcnn's file of SVMs, rcnn_model.mat.
      box_regressors: rcnn's file of box regressors, bbox_regressor_final.mat; None for none.

    Raises:
      InputError: no such file, an unknown detector, other classes than its head has, unknown preprocessing, a config
        that does not fit it, or a workdir that was trained in or has files of the user's.
    """
    experiment = parse(config.to_dict())
    if not file or not workdir:
        raise InputError(
            "--file and --workdir must both be given, as in: convert.py --file=model.pth --workdir=runs/model."
        )
    check_workdir(workdir)
    detector = read_detector(file)
    if experiment.system != detector.system or not isinstance(experiment, OneStage):
        raise InputError(
            f"--config must be of {detector.system} in one stage, as {file} holds {detector.kind}, got "
            f"{experiment.name}; give another, such as --config={_CONFIGS[detector.system]}."
        )
    experiment = _fitted(experiment, detector, bbox_regression=bool(box_regressors))
    class_names = tuple(class_names or (CATEGORIES if isinstance(experiment, FasterRcnnFpn) else CLASS_NAMES))
    classes = detector.params["cls_score"]["bias"].size - 1
    if len(class_names) != classes:
        raise InputError(
            f"--classes must name the {classes} classes of {file}, got {len(class_names)}; list them in its order."
        )
    params = _complete(detector, experiment, classes, svms, box_regressors)
    check_params(params, build_detector(experiment, class_names), file)
    with locked(workdir) as folder:
        _save(folder, params, experiment, class_names, source=Path(file).name)
        log.info("%s with %d classes -> %s", detector.kind, classes, folder)
        run = shlex.quote(str(folder))
        log.info(
            "next: python -m jaxdet evaluate --workdir=%s; python -m jaxdet predict --workdir=%s photo.jpg", run, run
        )


_CONFIGS = {
    "faster_rcnn": "faster_voc",
    "faster_rcnn_fpn": "coco_resnet50_fpn",
    "fast_rcnn": "fast_voc",
    "rcnn": "rcnn_voc",
}


def _save(folder: Path, params: Params, experiment: OneStage, class_names: tuple[str, ...], *, source: str) -> None:
    """Write experiment.json and the checkpoint of step 0."""
    if has_checkpoint(folder):
        raise InputError(f"--workdir must be new, got {folder} with checkpoints; give another.")
    experiment_json.claim(folder, dataclasses.asdict(experiment), class_names, f"none: converted from {source}")
    optimizer, _ = make_optimizer(**keywords(experiment.optim), steps=experiment.training.steps)
    key = jax.random.key(experiment.seed)
    fresh = state.create(jax.device_put(params), optimizer, key, trainable=lambda _: True)
    Checkpoints(folder, keep=1).save(fresh, {})


def _fitted(experiment: OneStage, detector: ForeignDetector, *, bbox_regression: bool) -> OneStage:
    """Return the experiment with all that the file decides."""
    experiment = dataclasses.replace(experiment, **_described_by(experiment, detector))
    if isinstance(experiment, FasterRcnn):  # simple-faster-rcnn-pytorch takes 1 off all corners of an annotation
        head = dataclasses.replace(experiment.head, inclusive_boxes=detector.kind == "simple_faster_rcnn")
        return dataclasses.replace(experiment, head=head)
    if isinstance(experiment, Rcnn):
        return dataclasses.replace(experiment, linear=Linear(bbox_regression=bbox_regression))
    return experiment


def _described_by(experiment: Experiment, detector: ForeignDetector) -> dict[str, Any]:
    """Return the sections that the file decides: the widths of its parameters and the input it was trained with."""
    decided = detector.net | {"preprocessing": detector.net["preprocessing"] or experiment.net.preprocessing}
    if not decided["preprocessing"]:
        raise InputError(
            "net.preprocessing must be given, for the file does not say how images were normalised; add "
            "--config.net.preprocessing=torchvision, or =caffe_rgb_mean (simple-faster-rcnn-pytorch, Caffe's weights)."
        )
    for name in ("preprocessing", "pool_rounding", "dropout_scaling"):
        if name in decided and getattr(experiment.net, name) not in ("", decided[name]):
            raise InputError(
                f"net.{name} must be {decided[name]!r}, as the file has it, got {getattr(experiment.net, name)!r}; "
                "leave it empty."
            )
    training = dataclasses.replace(experiment.training, pretrained="", pretrained_file="", init_from="")
    return {"net": dataclasses.replace(experiment.net, **decided), "training": training}


def _complete(
    detector: ForeignDetector, experiment: Experiment, classes: int, svms: str | None, box_regressors: str | None
) -> Params:
    """Return the parameters in the form of our detector: normalised deltas, and R-CNN's SVMs and box regressors."""
    params = detector.params
    if not isinstance(experiment, Rcnn):
        if svms or box_regressors:
            raise InputError("--svms and --box_regressors belong to rcnn's detector, got another; leave them out.")
        if not detector.unnormalised:
            return params
        shape = (classes + 1, 4)
        params = with_target_statistics(params, np.zeros(shape, np.float32), np.ones(shape, np.float32))
        if isinstance(experiment, FasterRcnn):
            return fold_target_statistics(params, experiment.head.delta_std)
        return params
    net = build_crop_net(experiment, classes)
    if svms:
        params = params | {"svm": read_svms(svms, features=net.fc7_features, classes=classes)}
    elif experiment.head.scoring == "svm":
        raise InputError(
            "--svms must name rcnn's file of SVMs, got none; give its rcnn_model.mat, or score by the fine-tuned net "
            "with --config.head.scoring=softmax."
        )
    if box_regressors:
        params = params | {"bbox_ridge": read_box_regressors(box_regressors, cells=net.pool5_shape, classes=classes)}
    return params
