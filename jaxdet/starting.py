"""What training starts from: random numbers, ImageNet's weights or another run, and how these expect their images."""

from pathlib import Path

from ml_collections import ConfigDict

from jaxdet import workdir as workdirs
from jaxdet.checks import InputError
from jaxdet.training.restore import restore_params
from jaxdet.types import Params
from jaxdet.weights.pretrained import PRETRAINED, is_published, load_pretrained, origin

FROM_SCRATCH = {"normalisation": "torchvision", "pooling": "ceil"}


def settle(config: ConfigDict, workdir: Path) -> ConfigDict:
    """The config with net.normalisation and net.pooling filled in where they are empty.

    They belong to the weights that training starts from: those of `training.pretrained`, of the run `init_from`, or
    FROM_SCRATCH. A workdir that has been trained in keeps what it had, whatever became of the weights.

    Raises:
      InputError: two origins are named, or the config contradicts its weights. Nothing is read, downloaded or prepared
        before that.
    """
    training = config.training
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
    if workdirs.is_trained(workdir):
        given = FROM_SCRATCH | workdirs.read(workdir)[0].net.to_dict()
        given |= {name: config.net[name] for name in FROM_SCRATCH if config.net[name]}  # a difference is told later
    elif training.init_from:
        given = _trained(Path(training.init_from).expanduser()).net
    elif training.pretrained:
        given = origin(training.pretrained)
        backbone, file = config.net.backbone, training.pretrained_file
        if backbone != "vgg16" and training.pretrained != "caffe":
            raise InputError(
                f"training.pretrained must be 'caffe' for {backbone}, whose weights are Caffe's and expect its input, "
                f"got {training.pretrained!r}; add --config.training.pretrained=caffe, or start from random weights "
                "(--config.training.pretrained=)."
            )
        if not is_published(file) and not Path(file).expanduser().is_file():
            raise InputError(f"training.pretrained_file must be a file, got {file}, which does not exist; correct it.")
        if is_published(file) and config.net.width != 1.0:
            raise InputError(
                f"net.width must be 1.0 for the published weights, got {config.net.width}; "
                "add --config.net.width=1.0 --config.net.head_features=4096, or start from random weights."
            )
        if is_published(file) and backbone != "vgg16":
            raise InputError(
                f"training.pretrained_file must name a file with weights of {backbone}, got {file!r}, for "
                "only those of vgg16 are published in a layout that is read; convert Caffe's, or start from random "
                "weights (--config.training.pretrained=)."
            )
    else:
        given = FROM_SCRATCH | {name: config.net[name] for name in FROM_SCRATCH if config.net[name]}
    settled = config.copy_and_resolve_references()
    for name in FROM_SCRATCH:
        if config.net[name] not in ("", given[name]):
            raise InputError(
                f"net.{name} must be {given[name]!r}, which the weights it starts from were trained with, got "
                f"{config.net[name]!r}; leave it empty."
            )
        settled.net[name] = given[name]
    return settled


def starting_params(config: ConfigDict) -> Params | None:
    """Parameters to copy over the fresh ones, as far as they fit; None to start from random numbers.

    Raises:
      InputError: they cannot be found, downloaded or read.
    """
    training = config.training
    if training.init_from:
        return restore_params(training.init_from, "best")
    if training.pretrained:
        return load_pretrained(training.pretrained, file=training.pretrained_file)
    return None


def _trained(path: Path) -> ConfigDict:
    """The config of a workdir, or of the workdir that a checkpoint lies in."""
    inside = path.resolve().parents[1] if path.resolve().parent.name == "checkpoints" else path
    if not (inside / workdirs.NAME).exists():
        raise InputError(
            f"training.init_from must be a workdir or one of its checkpoints, got {path}; name one that train.py wrote."
        )
    return workdirs.read(inside)[0]
