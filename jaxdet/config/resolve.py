"""The net's options that belong to the initial weights: how images enter it, and its size."""

import dataclasses
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from jaxdet.checks import InputError, one_of
from jaxdet.config import experiment_json
from jaxdet.config.detector_fields import SharedNet
from jaxdet.config.schema import Experiment
from jaxdet.config.training_fields import SharedTraining
from jaxdet.weights.pretrained import PRETRAINED, is_published, origin, pretrained_size

log = logging.getLogger(__name__)

FROM_SCRATCH = {"preprocessing": "torchvision", "pool_rounding": "ceil", "dropout_scaling": "train"}

AnyExperiment = TypeVar("AnyExperiment", bound=Experiment)


def resolve_config(experiment: AnyExperiment, workdir: Path, *, overridden: Collection[str] = ()) -> AnyExperiment:
    """Return the experiment with the fields of `net` that belong to the weights that training starts from.

    The weights are those of `training.pretrained`, of the run `init_from`, or random. The fields of FROM_SCRATCH are
    filled in where they are empty. The size that the weights decide (`_of_weights`) replaces the config's, unless it
    was overridden, and the log says so. A workdir that has been trained in keeps its values, even if the weights' file
    is gone.

    Args:
      overridden: fields that were set on the command line, such as "net.width".

    Raises:
      InputError: two origins are named, the config contradicts its weights, or the user's own file of weights, which is
        read, cannot be. Nothing is downloaded or prepared before that.
    """
    net, training = experiment.net, experiment.training
    if training.pretrained_file and not training.pretrained:
        raise InputError(
            f"training.pretrained must say whose layout and input {training.pretrained_file} has, got none; "
            f"set it to one of {', '.join(PRETRAINED)}."
        )
    if training.init_from and training.pretrained:
        raise InputError(
            f"training.init_from and training.pretrained are both set ({training.init_from}, {training.pretrained}); "
            "choose what to start from."
        )
    fields = {field.name for field in dataclasses.fields(net)}
    chosen = {name: getattr(net, name) for name in FROM_SCRATCH.keys() & fields if getattr(net, name)}
    expected, size = _of_weights(net, training, workdir, chosen)
    expected = {name: value for name, value in expected.items() if name in fields}
    for name, value in chosen.items():
        if value != expected[name]:
            raise InputError(
                f"net.{name} must be {expected[name]!r}, which the initial weights were trained with, got {value!r}; "
                "leave it empty."
            )
    size = _changes(net, {name: value for name, value in size.items() if name in fields}, overridden)
    return dataclasses.replace(experiment, net=dataclasses.replace(net, **expected, **size))


def _of_weights(
    net: SharedNet, training: SharedTraining, workdir: Path, chosen: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of FROM_SCRATCH that the weights expect, and those of the net's size that they decide.

    The latter are the width, head_features where pretrained weights have fc6 and fc7, and the init of the other layers.
    """
    if experiment_json.is_trained(workdir):
        run = _net_of_run(workdir)
        decided = ("width", "head_features", "init") if training.pretrained or training.init_from else ()
        # `claim` reports a mismatch with `chosen` later.
        return FROM_SCRATCH | _input_of_run(run) | chosen, {name: run[name] for name in decided if name in run}
    if training.init_from:
        run = _net_of_run(_run_folder(Path(training.init_from)))
        return _input_of_run(run), {"width": run["width"]} if run["backbone"] == net.backbone else {}
    if training.pretrained:
        expected = origin(training.pretrained, net.backbone)
        _check_pretrained(net, training)
        size = pretrained_size(training.pretrained, file=training.pretrained_file, backbone=net.backbone)
        # The channels of pretrained layers are not in pairs of opposite sign, as "looks_linear" needs.
        return expected, size | {"init": "he_normal"}
    return FROM_SCRATCH | chosen, {}


def _changes(net: SharedNet, size: dict[str, Any], overridden: Collection[str]) -> dict[str, Any]:
    """Return the fields of `size` that differ from the net's and were not overridden, and log them.

    Raises:
      InputError: another width was set on the command line. (A head of another size starts from random weights.)
    """
    differing = {
        name: value
        for name, value in size.items()
        if value != getattr(net, name) and not (name == "width" and abs(value - net.width) < 1 / 1024)  # half a channel
    }
    if "width" in differing and "net.width" in overridden:
        raise InputError(
            f"net.width must be {size['width']:g}, which the initial weights have, got {net.width:g}; remove "
            "--config.net.width, or start from random weights."
        )
    changes = {name: value for name, value in differing.items() if f"net.{name}" not in overridden}
    if changes:
        texts = [f"net.{name} is {value} (in the config {getattr(net, name)})" for name, value in changes.items()]
        log.info("set by the weights to start from: %s", ", ".join(texts))
    return changes


def _check_pretrained(net: SharedNet, training: SharedTraining) -> None:
    """Raise InputError where the weights are not of the backbone, or their file does not exist."""
    file = training.pretrained_file
    if "resnet50" in (net.backbone, PRETRAINED[training.pretrained].backbone):
        fitting = [name for name, weights in PRETRAINED.items() if weights.backbone == net.backbone]
        one_of(f"training.pretrained for {net.backbone}", training.pretrained, fitting or ["caffe"])
    elif net.backbone != "vgg16" and training.pretrained != "caffe":
        raise InputError(
            f"training.pretrained must be 'caffe' for {net.backbone}, whose weights are Caffe's and expect its input, "
            f"got {training.pretrained!r}; add --config.training.pretrained=caffe, or start from random weights "
            "(--config.training.pretrained=)."
        )
    if not is_published(file) and not Path(file).is_file():
        raise InputError(f"training.pretrained_file must be a file, got {file}, which does not exist; correct it.")
    if is_published(file) and net.backbone not in ("vgg16", "resnet50"):
        raise InputError(
            f"training.pretrained_file must name a file with weights of {net.backbone}, got {file!r}, for "
            "only those of vgg16 are published in a layout that is read; convert Caffe's, or start from random "
            "weights (--config.training.pretrained=)."
        )


def _run_folder(path: Path) -> Path:
    """Return the workdir at a path, or the workdir that holds the checkpoint at a path."""
    workdir = experiment_json.run_folder(path)
    if not workdir.is_file() and not (workdir / experiment_json.NAME).exists():
        raise InputError(
            f"training.init_from must be a workdir or one of its checkpoints, got {path}; name one that train.py wrote."
        )
    return workdir


def _net_of_run(workdir: Path) -> dict[str, Any]:
    config, _ = experiment_json.read(workdir)
    net: dict[str, Any] = config["net"]
    return net


def _input_of_run(net: dict[str, Any]) -> dict[str, str]:
    return {name: net[name] for name in FROM_SCRATCH if name in net}
