import pathlib

import numpy as np
import pytest

from configs import faster_devkit
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.recipes.initial_params import InitialWeights
from jaxdet.weights.pretrained import load_pretrained

FILE = pathlib.Path(__file__).parents[1] / "golden" / "weights_torchvision.pth"


def training(**fields):
    config = faster_devkit.get_config()
    config.training.update(fields)
    return parse(config.to_dict()).training


def test_without_weights_parameters_stay_random():
    params = {"conv1_1": {"kernel": np.ones((3, 3, 3, 2), np.float32)}}
    assert InitialWeights(training()).copy_into(params) is params


def test_matching_leaves_are_copied_each_time():
    weights = InitialWeights(training(pretrained="torchvision", pretrained_file=str(FILE)))
    expected = load_pretrained("torchvision", file=str(FILE))
    for _ in range(2):  # as in steps 1 and 2 of 4-step training
        random = {name: {"kernel": np.zeros_like(layer["kernel"])} for name, layer in expected.items()}
        copied = weights.copy_into(random)
        assert copied["conv1_1"]["kernel"].shape == (3, 3, 3, 2)
        np.testing.assert_array_equal(copied["conv1_1"]["kernel"], expected["conv1_1"]["kernel"])


def test_a_run_without_checkpoints_is_named(tmp_path):
    with pytest.raises(InputError, match="workdir must hold checkpoints, got none in"):
        InitialWeights(training(init_from=str(tmp_path))).copy_into({})
