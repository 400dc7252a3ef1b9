"""Conversion of another project's trained detector to a workdir, for evaluate.py, predict.py and init_from."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.config.schema import FasterRcnn
from jaxdet.data.datasets.voc import CLASS_NAMES
from jaxdet.io.lock import locked
from jaxdet.systems import build_detector, check_params
from jaxdet.training import state
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.restore import has_checkpoint
from jaxdet.types import Params
from jaxdet.weights.file import read_weights
from jaxdet.weights.state_dict import state_dict
from jaxdet.weights.torch import identify, simple_faster_rcnn, torchvision_faster_rcnn

log = logging.getLogger(__name__)

LAYOUTS = {"simple_faster_rcnn": simple_faster_rcnn, "torchvision_faster_rcnn": torchvision_faster_rcnn}


def convert(config: ConfigDict, file: str | None, workdir: str | None, class_names: Sequence[str] | None) -> None:
    """Write the detector in a .pth file as the checkpoint of step 0 of a new workdir.

    Its widths and the number of its classes are read from its parameters. Anchors, thresholds and image sizes are not
    in such a file and come from the config.

    Args:
      class_names: in the order of its head, without the background; None for VOC's twenty.

    Raises:
      InputError: no such file, an unknown detector, other classes than its head has, unknown preprocessing, a config
        that does not fit it, or a workdir that was trained in.
    """
    experiment = parse(config.to_dict())
    if not file or not workdir:
        raise InputError(
            "--file and --workdir must both be given, as in: convert.py --file=model.pth --workdir=runs/model."
        )
    if not isinstance(experiment, FasterRcnn):
        raise InputError(f"--config must be of a Faster R-CNN trained jointly, got {experiment.name}; give another.")
    saved = read_weights(file)
    kind, params = _read_detector(saved, file)
    experiment = dataclasses.replace(experiment, **_described_by(experiment, saved, kind, params))
    class_names = tuple(class_names or CLASS_NAMES)
    classes = params["cls_score"]["bias"].size - 1
    if len(class_names) != classes:
        raise InputError(
            f"--classes must name the {classes} classes of {file}, got {len(class_names)}; list them in its order."
        )
    check_params(params, build_detector(experiment, class_names), file)
    optimizer, _ = make_optimizer(**keywords(experiment.optim), steps=experiment.training.steps)
    with locked(workdir) as folder:
        if has_checkpoint(folder):
            raise InputError(f"--workdir must be new, got {folder} with checkpoints; give another.")
        images = f"none: converted from {Path(file).name}"
        experiment_json.claim(folder, dataclasses.asdict(experiment), class_names, images)
        key = jax.random.key(experiment.seed)
        fresh = state.create(jax.device_put(params), optimizer, key, trainable=lambda _: True)
        Checkpoints(folder, keep=1).save(fresh, {})
        log.info("%s with %d classes -> %s", kind, classes, folder)
        log.info("next: python evaluate.py --workdir=%s, or predict.py --workdir=%s photo.jpg", folder, folder)


def _read_detector(saved: Any, file: str) -> tuple[str, Params]:
    """Return which project's detector a file holds, and its parameters."""
    try:
        tensors = state_dict(saved)
        kind = identify(tensors)
        if kind in LAYOUTS:
            return kind, LAYOUTS[kind](tensors)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    raise InputError(
        f"--file must hold a whole detector, got {file} with {kind}; see training.pretrained_file for such."
    )


def _described_by(experiment: FasterRcnn, saved: Any, kind: str, params: Params) -> dict[str, Any]:
    """Return the sections that the file decides: the widths of its parameters, and the input and boxes of its training.

    simple-faster-rcnn-pytorch takes 1 off all four corners of an annotation, so its boxes end a pixel early.
    """
    net = experiment.net
    expected = {"preprocessing": _preprocessing(saved, kind) or net.preprocessing}
    expected |= {"pool_rounding": "floor", "dropout_scaling": "train"}
    if not expected["preprocessing"]:
        raise InputError(
            "net.preprocessing must be given, for the file does not say how images were normalised; add "
            "--config.net.preprocessing=torchvision, or =caffe_rgb_mean (simple-faster-rcnn-pytorch, Caffe's weights)."
        )
    for name, value in expected.items():
        if getattr(net, name) not in ("", value):
            raise InputError(
                f"net.{name} must be {value!r}, as the file has it, got {getattr(net, name)!r}; leave it empty."
            )
    net = dataclasses.replace(
        net,
        preprocessing=expected["preprocessing"],
        pool_rounding=expected["pool_rounding"],
        dropout_scaling=expected["dropout_scaling"],
        width=params["conv5_3"]["bias"].size / 512,
        head_features=params["fc7"]["bias"].size,
    )
    training = dataclasses.replace(experiment.training, pretrained="", pretrained_file="", init_from="")
    head = dataclasses.replace(experiment.head, inclusive_boxes=kind == "simple_faster_rcnn")
    return {"net": net, "training": training, "head": head}


def _preprocessing(saved: Any, kind: str) -> str:
    """Return the preprocessing that the file states, '' where it states none."""
    if kind == "torchvision_faster_rcnn":
        return "torchvision"
    settings = saved.get("config")
    if not isinstance(settings, dict) or "caffe_pretrain" not in settings:
        return ""
    return "caffe_rgb_mean" if settings["caffe_pretrain"] else "torchvision"
