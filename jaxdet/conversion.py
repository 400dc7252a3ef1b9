"""Another project's trained detector as a workdir, which evaluate.py, predict.py and training.init_from take."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxdet import sections
from jaxdet import workdir as workdirs
from jaxdet.building import build_detector, check_fit
from jaxdet.checks import InputError, bind
from jaxdet.data.datasets.voc import CLASS_NAMES
from jaxdet.experiment import start
from jaxdet.io.lock import locked
from jaxdet.training import state
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.restore import has_checkpoint
from jaxdet.types import Params
from jaxdet.weights.torch import identify, simple_faster_rcnn, state_dict, torchvision_faster_rcnn
from jaxdet.weights.torch_file import read_torch_file

log = logging.getLogger(__name__)

LAYOUTS = {"simple_faster_rcnn": simple_faster_rcnn, "torchvision_faster_rcnn": torchvision_faster_rcnn}


def convert(config: ConfigDict, file: str | None, workdir: str | None, class_names: Sequence[str] | None) -> None:
    """Writes the detector in a .pth file as the checkpoint of step 0 of a new workdir.

    Its widths and the number of its classes are read from its parameters; anchors, thresholds and sizes of images are
    not in such a file and come from the config.

    Args:
      class_names: in the order of its head, without the background; None for VOC's twenty.

    Raises:
      InputError: no such file, not a detector known here, other classes than its head has, normalisation unknown, a
        config that does not fit it, or a workdir that was trained in.
    """
    start()
    sections.check(config)
    if not file or not workdir:
        raise InputError(
            "--file and --workdir must both be given, as in: convert.py --file=model.pth --workdir=runs/model."
        )
    saved = read_torch_file(Path(file).expanduser())
    kind, params = _detector(saved, file)
    config = _described(config, saved, kind, params)
    class_names = tuple(class_names or CLASS_NAMES)
    classes = params["cls_score"]["bias"].size - 1
    if len(class_names) != classes:
        raise InputError(
            f"--classes must name the {classes} classes of {file}, got {len(class_names)}; list them in its order."
        )
    detector = build_detector(config, class_names)
    check_fit(params, detector, file)
    tx, _ = bind(make_optimizer, config.optim, section="optim", steps=config.training.steps)()
    with locked(workdir) as folder:
        if has_checkpoint(folder):
            raise InputError(f"--workdir must be new, got {folder} with checkpoints; give another.")
        workdirs.claim(folder, config, class_names, f"none: converted from {Path(file).name}")
        fresh = state.create(jax.device_put(params), tx, jax.random.key(config.seed), trainable=lambda _: True)
        Checkpoints(folder, keep=1).save(fresh, {})
        log.info("%s with %d classes -> %s", kind, classes, folder)
        log.info("next: python evaluate.py --workdir=%s, or predict.py --workdir=%s photo.jpg", folder, folder)


def _detector(saved: Any, file: str) -> tuple[str, Params]:
    """Which project's detector a file holds, and its parameters."""
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


def _described(config: ConfigDict, saved: dict[str, Any], kind: str, params: Params) -> ConfigDict:
    """The config with the widths that the parameters have and the input that they were trained with."""
    described = config.copy_and_resolve_references()
    described.training.update({"pretrained": "", "pretrained_file": "", "init_from": ""})
    described.net.width = params["conv5_3"]["bias"].size / 512
    described.net.head_features = params["fc7"]["bias"].size
    given = {"normalisation": _normalisation(saved, kind) or config.net.normalisation, "pooling": "floor"}
    if not given["normalisation"]:
        raise InputError(
            "net.normalisation must be given, for the file does not say how images were normalised; add "
            "--config.net.normalisation=torchvision, or =caffe_rgb_mean (simple-faster-rcnn-pytorch, Caffe's weights)."
        )
    for name, value in given.items():
        if config.net[name] not in ("", value):
            raise InputError(
                f"net.{name} must be {value!r}, as the file has it, got {config.net[name]!r}; leave it empty."
            )
        described.net[name] = value
    return described


def _normalisation(saved: dict[str, Any], kind: str) -> str:
    """What the file says of its input, '' where that is nothing."""
    if kind == "torchvision_faster_rcnn":
        return "torchvision"
    settings = saved.get("config")
    if not isinstance(settings, dict) or "caffe_pretrain" not in settings:
        return ""
    return "caffe_rgb_mean" if settings["caffe_pretrain"] else "torchvision"
