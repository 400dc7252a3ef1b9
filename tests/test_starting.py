"""What a run starts from decides how images are normalised and how pooling rounds."""

import pathlib

import pytest

from configs import faster_devkit, faster_voc
from jaxdet import workdir
from jaxdet.checks import InputError
from jaxdet.starting import settle, starting_params

GOLDEN = pathlib.Path(__file__).parent / "golden"


def net(config):
    return config.net.normalisation, config.net.pooling


@pytest.mark.parametrize(
    ("pretrained", "expected"),
    [
        ("", ("torchvision", "ceil")),
        ("caffe", ("caffe", "ceil")),
        ("torchvision", ("torchvision", "floor")),
        ("keras", ("keras", "floor")),
    ],
)
def test_the_input_travels_with_the_pretrained_weights(tmp_path, pretrained, expected):
    config = faster_voc.get_config()
    assert net(settle(config, tmp_path)) == ("caffe", "ceil")  # the paper's own
    config.training.pretrained = pretrained
    assert net(settle(config, tmp_path)) == expected
    assert net(config) == ("", "")


def test_from_scratch_the_config_may_choose(tmp_path):
    config = faster_devkit.get_config()
    config.net.normalisation = "caffe"
    assert net(settle(config, tmp_path)) == ("caffe", "ceil")


def test_the_input_travels_with_another_run_and_with_its_checkpoint(tmp_path):
    other = faster_devkit.get_config()
    other.net.update({"normalisation": "keras", "pooling": "floor"})
    workdir.claim(tmp_path, other, ("a",), "images")
    checkpoint = tmp_path / "checkpoints" / "10"
    checkpoint.mkdir(parents=True)
    config = faster_devkit.get_config()
    for path in (tmp_path, checkpoint):
        config.training.init_from = str(path)
        assert net(settle(config, tmp_path / "new")) == ("keras", "floor")


def test_contradictions_are_refused(tmp_path):
    config = faster_voc.get_config()
    config.net.normalisation = "torchvision"
    with pytest.raises(InputError, match="net.normalisation must be 'caffe', which the weights .* got 'torchvision'"):
        settle(config, tmp_path)
    config.training.init_from = "runs/other"
    with pytest.raises(InputError, match="training.init_from and training.pretrained are both set"):
        settle(config, tmp_path)
    config.training.pretrained = ""
    with pytest.raises(InputError, match="training.init_from must be a workdir or one of its checkpoints, got"):
        settle(config, tmp_path)
    config.training.update({"init_from": "", "pretrained_file": "vgg16.pth"})
    with pytest.raises(InputError, match="training.pretrained must say whose layout and input vgg16.pth has"):
        settle(config, tmp_path)
    config.training.update({"pretrained": "torchvison"})
    with pytest.raises(InputError, match="did you mean 'torchvision'"):
        settle(config, tmp_path)


@pytest.mark.parametrize("file", ["", "https://example.org/vgg16.pth"])
def test_published_weights_want_the_papers_width(tmp_path, file):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": file})
    with pytest.raises(InputError, match="net.width must be 1.0 for the published weights, got 0.25; add --config"):
        settle(config, tmp_path)
    config.net.width = 1.0
    assert net(settle(config, tmp_path)) == ("torchvision", "floor")


@pytest.mark.parametrize(("backbone", "pretrained"), [("alexnet", "torchvision"), ("zf", "keras")])
def test_other_backbones_take_caffes_weights_only(tmp_path, backbone, pretrained):
    config = faster_devkit.get_config()
    config.net.backbone = backbone
    config.training.update({"pretrained": pretrained, "pretrained_file": str(GOLDEN / "weights_caffe.pth")})
    with pytest.raises(InputError) as refused:
        settle(config, tmp_path)
    assert str(refused.value) == (
        f"training.pretrained must be 'caffe' for {backbone}, whose weights are Caffe's and expect its input, got "
        f"{pretrained!r}; add --config.training.pretrained=caffe, or start from random weights "
        "(--config.training.pretrained=)."
    )
    config.training.pretrained = "caffe"
    assert net(settle(config, tmp_path)) == ("caffe", "ceil")


def test_a_file_of_a_narrow_net(tmp_path):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": str(GOLDEN / "weights_torchvision.pth")})
    assert net(settle(config, tmp_path)) == ("torchvision", "floor")
    assert starting_params(config)["conv1_1"]["kernel"].shape == (3, 3, 3, 2)


def test_from_random_weights_there_is_nothing_to_copy():
    assert starting_params(faster_devkit.get_config()) is None
