"""The initial weights determine preprocessing, pool_rounding and dropout_scaling."""

import pathlib

import pytest

from configs import faster_devkit, faster_voc
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def resolved(config, workdir):
    """Return the net's preprocessing and pool_rounding after resolve_config."""
    net = resolve_config(parse(config.to_dict()), workdir).net
    return net.preprocessing, net.pool_rounding


@pytest.mark.parametrize(
    ("pretrained", "expected"),
    [
        ("", ("torchvision", "ceil")),
        ("caffe", ("caffe", "ceil")),
        ("torchvision", ("torchvision", "floor")),
        ("keras", ("keras", "floor")),
    ],
)
def test_pretrained_weights_determine_the_input(tmp_path, pretrained, expected):
    config = faster_voc.get_config()
    assert resolved(config, tmp_path) == ("caffe", "ceil")  # the paper's
    config.training.pretrained = pretrained
    assert resolved(config, tmp_path) == expected


def test_without_weights_the_config_determines_the_input(tmp_path):
    config = faster_devkit.get_config()
    config.net.preprocessing = "caffe"
    assert resolved(config, tmp_path) == ("caffe", "ceil")


def test_another_run_or_checkpoint_determines_the_input(tmp_path):
    other = faster_devkit.get_config()
    other.net.update({"preprocessing": "keras", "pool_rounding": "floor"})
    experiment_json.claim(tmp_path, other.to_dict(), ("a",), "images")
    checkpoint = tmp_path / "checkpoints" / "10"
    checkpoint.mkdir(parents=True)
    config = faster_devkit.get_config()
    for path in (tmp_path, checkpoint):
        config.training.init_from = str(path)
        assert resolved(config, tmp_path / "new") == ("keras", "floor")


def test_contradictions_are_refused(tmp_path):
    config = faster_voc.get_config()
    config.net.preprocessing = "torchvision"
    with pytest.raises(
        InputError, match="net.preprocessing must be 'caffe', which the initial weights .* got 'torchvision'"
    ):
        resolved(config, tmp_path)
    config.training.init_from = "runs/other"
    with pytest.raises(InputError, match="training.init_from and training.pretrained are both set"):
        resolved(config, tmp_path)
    config.training.pretrained = ""
    with pytest.raises(InputError, match="training.init_from must be a workdir or one of its checkpoints, got"):
        resolved(config, tmp_path)
    config.training.update({"init_from": "", "pretrained_file": "vgg16.pth"})
    with pytest.raises(InputError, match="training.pretrained must say whose layout and input vgg16.pth has"):
        resolved(config, tmp_path)
    config.training.update({"pretrained": "torchvison"})
    with pytest.raises(InputError, match="did you mean 'torchvision'"):
        resolved(config, tmp_path)


@pytest.mark.parametrize("file", ["", "https://example.org/vgg16.pth"])
def test_published_weights_need_the_width_of_the_paper(tmp_path, file):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": file})
    with pytest.raises(InputError, match="net.width must be 1.0 for the published weights, got 0.25; add --config"):
        resolved(config, tmp_path)
    config.net.width = 1.0
    assert resolved(config, tmp_path) == ("torchvision", "floor")


@pytest.mark.parametrize(("backbone", "pretrained"), [("alexnet", "torchvision"), ("zf", "keras")])
def test_other_backbones_take_only_caffes_weights(tmp_path, backbone, pretrained):
    config = faster_devkit.get_config()
    config.net.backbone = backbone
    config.training.update({"pretrained": pretrained, "pretrained_file": str(GOLDEN / "weights_caffe.pth")})
    with pytest.raises(InputError) as refused:
        resolved(config, tmp_path)
    assert str(refused.value) == (
        f"training.pretrained must be 'caffe' for {backbone}, whose weights are Caffe's and expect its input, got "
        f"{pretrained!r}; add --config.training.pretrained=caffe, or start from random weights "
        "(--config.training.pretrained=)."
    )
    config.training.pretrained = "caffe"
    assert resolved(config, tmp_path) == ("caffe", "ceil")


def test_zf_nets_weights_of_caffe_determine_that_dropout_scales_in_detection(tmp_path):
    config = faster_voc.get_config()
    config.training.pretrained_file = str(GOLDEN / "weights_caffe.pth")

    def scaling():
        return resolve_config(parse(config.to_dict()), tmp_path).net.dropout_scaling

    for backbone, expected in (("vgg16", "train"), ("alexnet", "train"), ("zf", "test")):
        config.net.backbone = backbone
        assert scaling() == expected
    config.net.dropout_scaling = "train"
    with pytest.raises(InputError, match="net.dropout_scaling must be 'test', which the initial weights were trained"):
        scaling()
    config.training.update({"pretrained": "", "pretrained_file": ""})
    assert scaling() == "train"  # random weights take any
    config.net.dropout_scaling = ""
    assert scaling() == "train"


def test_another_runs_dropout_scaling_is_taken_over(tmp_path):
    other = faster_voc.get_config()
    other.net.update({"preprocessing": "caffe", "pool_rounding": "ceil", "dropout_scaling": "test"})
    experiment_json.claim(tmp_path, other.to_dict(), ("a",), "images")
    config = faster_devkit.get_config()
    config.training.init_from = str(tmp_path)
    assert resolve_config(parse(config.to_dict()), tmp_path / "new").net.dropout_scaling == "test"


def test_a_weights_file_may_be_of_a_narrow_net(tmp_path):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": str(GOLDEN / "weights_torchvision.pth")})
    assert resolved(config, tmp_path) == ("torchvision", "floor")
