"""ResNet-50 and torchvision's detector over it: names old and new, frozen norms, one error for what does not fit."""

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.io.safetensors import write_safetensors
from jaxdet.weights.pretrained import load_pretrained, origin
from jaxdet.weights.resnet import NORM_LEAVES, resnet50_classifier, torchvision_faster_rcnn_fpn
from jaxdet.weights.torch import identify
from tests.golden import r50fpn

STATE = r50fpn.state_dict(5, channels=4, hidden=8, classes=4)
CLASSIFIER = {name.removeprefix("backbone.body."): x for name, x in STATE.items() if "backbone.body." in name}
CLASSIFIER |= {"fc.weight": np.zeros((7, 128), np.float32), "fc.bias": np.zeros(7, np.float32)}
CLASSIFIER["bn1.num_batches_tracked"] = np.asarray(3)
BLOCK = "layer3.1.conv2", "layer3.1.bn2", "layer3_1_conv2"


def test_a_norm_becomes_the_scale_and_bias_that_it_applies():
    conv, norm, name = BLOCK
    for params, prefix, eps in (
        (torchvision_faster_rcnn_fpn(STATE), "backbone.body.", 0.0),
        (torchvision_faster_rcnn_fpn(STATE, eps=1e-5), "backbone.body.", 1e-5),
        (resnet50_classifier(CLASSIFIER), "backbone.body.", 1e-5),
    ):
        weight, bias, mean, var = (STATE[f"{prefix}{norm}.{leaf}"] for leaf in NORM_LEAVES)
        x = np.linspace(-3, 3, len(mean)).astype(np.float32)
        affine = params[f"frozen_norm_{name}"]
        expected = (x - mean) / np.sqrt(var + np.float32(eps)) * weight + bias
        np.testing.assert_allclose(x * affine["scale"] + affine["bias"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(params[name]["kernel"], STATE[f"{prefix}{conv}.weight"].transpose(2, 3, 1, 0))
        assert params[name].keys() == {"kernel"}
    assert "fc" not in resnet50_classifier(CLASSIFIER)


def test_names_before_torchvision_0_13_are_read():
    state = {}
    for name, x in STATE.items():
        if "fpn" in name:
            layer, leaf = name.rsplit(".", 1)
            name = f"{layer.removesuffix('.0')}.{leaf}"
        state[name.replace("rpn.head.conv.0.0", "rpn.head.conv")] = x
    assert "backbone.fpn.inner_blocks.2.weight" in state and "rpn.head.conv.bias" in state
    ours, theirs = torchvision_faster_rcnn_fpn(state), torchvision_faster_rcnn_fpn(STATE)
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(ours["fpn_inner_0"]["kernel"], theirs["fpn_inner_0"]["kernel"])
    assert identify(state) == identify(STATE) == "torchvision_faster_rcnn_fpn"


def test_files_of_both_formats_are_read(tmp_path):
    for name, state in (("resnet50", CLASSIFIER), ("coco", STATE)):
        write_safetensors(tmp_path / "model.safetensors", state, {})
        params = load_pretrained(name, file=tmp_path / "model.safetensors")
        assert params["conv1"]["kernel"].shape == (7, 7, 3, 4) and ("fc7" in params) == (name == "coco")
        assert origin(name, "resnet50")["preprocessing"] == "torchvision"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"backbone.body.bn1.running_var": None},
            "ResNet-50 and FPN, got .*: missing backbone.body.bn1.running_var; give",
        ),
        ({"backbone.body.layer1.0.conv1.weight": None}, "missing backbone.body.layer1.0.conv1.weight"),
        ({"backbone.body.bn1.bias": np.zeros(5, np.float32)}, "backbone.body.bn1 has arrays of the shapes"),
        ({"backbone.body.bn1.running_var": np.zeros(4, np.float32)}, "backbone.body.bn1.running_var is not positive"),
        ({"roi_heads.mask_head.mask_fcn1.bias": np.zeros(4, np.float32)}, "unknown roi_heads.mask_head.mask_fcn1.bias"),
        ({"backbone.fpn.layer_blocks.1.0.bias": np.zeros(9, np.float32)}, "layer_blocks.1.0.bias is 9, should be 16"),
        ({"roi_heads.box_head.fc6.weight": np.zeros((8, 16), np.float32)}, "fc6.weight is 8x16, should be 8x784"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        torchvision_faster_rcnn_fpn({name: x for name, x in (STATE | changes).items() if x is not None})
    with pytest.raises(
        InputError, match="must have the names and shapes of ResNet-50, got those of VGG16: missing bn1.bi"
    ):
        resnet50_classifier({"features.28.weight": np.zeros(1)})
