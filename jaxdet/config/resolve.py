"""The net's options that belong to the initial weights, filled in where the config leaves them empty."""

import dataclasses
from pathlib import Path
from typing import TypeVar

from jaxdet.checks import InputError, one_of
from jaxdet.config import experiment_json
from jaxdet.config.detector_fields import SharedNet
from jaxdet.config.schema import Experiment
from jaxdet.config.training_fields import SharedTraining
from jaxdet.weights.pretrained import PRETRAINED, is_published, origin

FROM_SCRATCH = {"preprocessing": "torchvision", "pool_rounding": "ceil", "dropout_scaling": "train"}

AnyExperiment = TypeVar("AnyExperiment", bound=Experiment)


def resolve_config(experiment: AnyExperiment, workdir: Path) -> AnyExperiment:
    """Return the experiment with the fields of FROM_SCRATCH filled in where they are empty.

    They belong to the weights that training starts from: those of `training.pretrained`, of the run `init_from`, or
    FROM_SCRATCH. A workdir that has been trained in keeps its values, even if the weights' file is gone.

    Raises:
      InputError: two origins are named, or the config contradicts its weights. Nothing is read, downloaded or prepared
        before that.
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
    owned = FROM_SCRATCH.keys() & {field.name for field in dataclasses.fields(net)}
    chosen = {name: getattr(net, name) for name in owned if getattr(net, name)}
    if experiment_json.is_trained(workdir):
        expected = FROM_SCRATCH | _input_of_run(workdir) | chosen  # `claim` reports a mismatch later
    elif training.init_from:
        expected = _input_of_run(_run_folder(Path(training.init_from)))
    elif training.pretrained:
        expected = origin(training.pretrained, net.backbone)
        _check_pretrained(net, training)
    else:
        expected = FROM_SCRATCH | chosen
    expected = {name: value for name, value in expected.items() if name in owned}
    for name, value in chosen.items():
        if value != expected[name]:
            raise InputError(
                f"net.{name} must be {expected[name]!r}, which the initial weights were trained with, got {value!r}; "
                "leave it empty."
            )
    return dataclasses.replace(experiment, net=dataclasses.replace(net, **expected))


def _check_pretrained(net: SharedNet, training: SharedTraining) -> None:
    """Raise InputError where ImageNet's weights do not fit the backbone or its width."""
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
    if is_published(file) and net.width != 1.0:
        head_features = 1024 if net.backbone == "resnet50" else 4096
        raise InputError(
            f"net.width must be 1.0 for the published weights, got {net.width}; add --config.net.width=1.0 "
            f"--config.net.head_features={head_features}, or start from random weights."
        )
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


def _input_of_run(workdir: Path) -> dict[str, str]:
    config, _ = experiment_json.read(workdir)
    return {name: config["net"][name] for name in FROM_SCRATCH if name in config["net"]}
