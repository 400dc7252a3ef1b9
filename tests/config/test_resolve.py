"""The initial weights determine preprocessing, pool_rounding and dropout_scaling."""

import dataclasses
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
def test_published_weights_set_the_size_of_the_papers_net_and_say_so(tmp_path, caplog, file):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "torchvision", "pretrained_file": file})
    with caplog.at_level("INFO"):
        net = resolve_config(parse(config.to_dict()), tmp_path).net
    assert (net.width, net.head_features, net.init) == (1.0, 4096, "he_normal")
    assert caplog.messages == [
        "set by the weights to start from: net.width is 1.0 (in the config 0.25), net.head_features is 4096 (in the "
        "config 256), net.init is he_normal (in the config looks_linear)"
    ]
    caplog.clear()
    resolve_config(parse(faster_voc.get_config().to_dict()), tmp_path)
    assert not caplog.messages


def test_weights_without_fc6_leave_the_heads_size(tmp_path):
    config = faster_devkit.get_config()
    config.training.pretrained = "keras_notop"
    net = resolve_config(parse(config.to_dict()), tmp_path).net
    assert (net.width, net.head_features) == (1.0, 256)
    config.training.update({"pretrained": "keras", "pretrained_file": str(GOLDEN / "weights_keras_notop.h5")})
    net = resolve_config(parse(config.to_dict()), tmp_path).net
    assert (net.width, net.head_features, net.preprocessing) == (1 / 32, 256, "keras")


def test_a_width_on_the_command_line_that_does_not_fit_the_weights_is_refused(tmp_path):
    config = faster_devkit.get_config()
    config.training.pretrained = "torchvision"
    with pytest.raises(InputError) as refused:
        resolve_config(parse(config.to_dict()), tmp_path, overridden={"net.width", "training.pretrained"})
    assert str(refused.value) == (
        "net.width must be 1, which the initial weights have, got 0.25; remove --config.net.width, or start from "
        "random weights."
    )
    config.net.update({"width": 1.0, "head_features": 512})
    net = resolve_config(parse(config.to_dict()), tmp_path, overridden={"net.width", "net.head_features"}).net
    assert (net.width, net.head_features) == (1.0, 512)  # a head of random weights


def test_a_trained_workdir_keeps_its_size_without_the_weights_file(tmp_path):
    config = faster_devkit.get_config()
    config.training.update({"pretrained": "keras", "pretrained_file": str(tmp_path / "removed.h5")})
    run = faster_devkit.get_config()
    run.training.update(config.training)
    run.net.update({"width": 1.0, "init": "he_normal"})
    run.net.update({"preprocessing": "keras", "pool_rounding": "floor", "dropout_scaling": "train"})
    experiment_json.claim(tmp_path, run.to_dict(), ("a",), "images")
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    resumed = resolve_config(parse(config.to_dict()), tmp_path)
    assert (resumed.net.width, resumed.net.init) == (1.0, "he_normal")
    experiment_json.claim(tmp_path, dataclasses.asdict(resumed), ("a",), "images")  # nothing differs


def test_another_run_determines_the_width(tmp_path):
    other = faster_devkit.get_config()
    other.net.update({"width": 0.5, "head_features": 64, "preprocessing": "keras", "pool_rounding": "floor"})
    experiment_json.claim(tmp_path, other.to_dict(), ("a",), "images")
    config = faster_devkit.get_config()
    config.training.init_from = str(tmp_path)
    net = resolve_config(parse(config.to_dict()), tmp_path / "new").net
    assert (net.width, net.head_features, net.init) == (0.5, 256, "looks_linear")
    config.net.backbone = "zf"
    assert resolve_config(parse(config.to_dict()), tmp_path / "new").net.width == 0.25


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
