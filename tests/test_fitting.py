import pathlib

import pytest

from configs import fast_devkit
from jaxdet.building import build_detector
from jaxdet.checks import InputError
from jaxdet.fitting import check_training

NARROWER = pathlib.Path(__file__).parent / "golden" / "weights_torchvision.pth"


def test_weights_that_do_not_fit_are_told_before_the_search(tmp_path):
    config = fast_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": str(NARROWER)})
    config.net.update({"normalisation": "torchvision", "pooling": "floor"})
    detector = build_detector(config, ("disc",))
    with pytest.raises(InputError, match="the weights to start from must fit the net, got 0 of 15 kernels that do"):
        check_training(config, detector, None, tmp_path)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)  # this run goes on, whatever has become of the weights
    check_training(config, detector, None, tmp_path)
