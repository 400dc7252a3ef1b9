import pathlib
import types

import pytest

from configs import fast_devkit, faster_devkit
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.recipes.joint import JointTraining

NARROWER = pathlib.Path(__file__).parents[1] / "golden" / "weights_torchvision.pth"


def split(experiment):
    """A split of which only the class names are read."""
    dataset = types.SimpleNamespace(class_names=("disc",))
    return types.SimpleNamespace(dataset=dataset, search=getattr(experiment, "proposals", None))


def experiment(config):
    config.training.update({"pretrained": "torchvision", "pretrained_file": str(NARROWER)})
    config.net.update({"preprocessing": "torchvision", "pool_rounding": "floor", "dropout_scaling": "train"})
    return parse(config.to_dict())


def test_weights_that_do_not_fit_are_refused_before_the_search(tmp_path):
    fast = experiment(fast_devkit.get_config())
    with pytest.raises(InputError, match="the weights to start from must fit the net, got 0 of 15 kernels that do"):
        JointTraining(fast, tmp_path, split(fast))
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)  # a run that resumes does not need the weights
    JointTraining(fast, tmp_path, split(fast))


def test_a_detector_without_search_reads_weights_only_when_it_trains(tmp_path):
    faster = experiment(faster_devkit.get_config())
    JointTraining(faster, tmp_path, split(faster))


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("training.frozen", ("conv9",), "training.frozen: no layer 'conv9'; did you mean"),
        ("training.accumulate", 3, "batch size must be a multiple of devices x accumulated parts"),
        ("optim.name", "adam", "optim.name must be one of sgd, adamw, got 'adam'; did you mean 'adamw'"),
        ("net.backbone", "vgg", "net.backbone must be one of .*, got 'vgg'; did you mean 'vgg_m'"),
    ],
)
def test_mistakes_are_refused_before_training(tmp_path, field, value, error):
    config = faster_devkit.get_config()
    config.net.update({"preprocessing": "torchvision", "pool_rounding": "floor", "dropout_scaling": "train"})
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=error):
        JointTraining(parse(config.to_dict()), tmp_path, split(None))
