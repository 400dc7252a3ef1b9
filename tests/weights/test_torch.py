"""PyTorch's parameters under jaxdet's names: layouts, order of fc6's rows and of deltas, logits; one error for all."""

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.nets.region_net import region_net
from jaxdet.weights.layers import VGG16_LAYERS
from jaxdet.weights.torch import (
    classifier,
    identify,
    simple_faster_rcnn,
    torchvision_faster_rcnn,
    vgg16_classifier,
)
from tests.golden import make_backbones
from tests.nets.vgg16 import LAYERS

CHANNELS, ANCHORS, CLASSES, HIDDEN = 4, 3, 2, 5


def random_state(shapes):
    """State dict of random numbers from {layer: shape of its weight}."""
    rng = np.random.default_rng(0)
    state = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return state | {f"{name}.bias": rng.normal(size=shape[0]).astype(np.float32) for name, shape in shapes.items()}


def backbone(prefix):
    return {f"{prefix}.{i}": (CHANNELS, 3 if i == 0 else CHANNELS, 3, 3) for _, i in VGG16_LAYERS.values()}


def hidden_layers(first="classifier.0", second="classifier.3"):
    return {first: (HIDDEN, CHANNELS * 49), second: (HIDDEN, HIDDEN)}


VGG16 = random_state(backbone("features") | hidden_layers() | {"classifier.6": (7, HIDDEN)})
TORCHVISION = random_state(
    backbone("backbone")
    | {
        "rpn.head.conv.0.0": (CHANNELS, CHANNELS, 3, 3),
        "rpn.head.cls_logits": (ANCHORS, CHANNELS, 1, 1),
        "rpn.head.bbox_pred": (4 * ANCHORS, CHANNELS, 1, 1),
        "roi_heads.box_predictor.cls_score": (CLASSES + 1, HIDDEN),
        "roi_heads.box_predictor.bbox_pred": (4 * (CLASSES + 1), HIDDEN),
    }
    | hidden_layers("roi_heads.box_head.fc6", "roi_heads.box_head.fc7")
)
SIMPLE = random_state(
    backbone("extractor")
    | {
        "rpn.conv1": (CHANNELS, CHANNELS, 3, 3),
        "rpn.score": (2 * ANCHORS, CHANNELS, 1, 1),
        "rpn.loc": (4 * ANCHORS, CHANNELS, 1, 1),
        "head.score": (CLASSES + 1, HIDDEN),
        "head.cls_loc": (4 * (CLASSES + 1), HIDDEN),
    }
    | hidden_layers("head.classifier.0", "head.classifier.2")
)


def renamed(state, names):
    def new(name):
        layer, _, leaf = name.rpartition(".")
        return f"{names.get(layer, layer)}.{leaf}"

    return {new(name): x for name, x in state.items()}


def assert_same(params, expected):
    assert params.keys() == expected.keys()
    for layer in params:
        for leaf in ("kernel", "bias"):
            np.testing.assert_array_equal(params[layer][leaf], expected[layer][leaf])


@pytest.mark.parametrize(
    ("read", "state", "fc6"),
    [
        (vgg16_classifier, VGG16, "classifier.0"),
        (torchvision_faster_rcnn, TORCHVISION, "roi_heads.box_head.fc6"),
        (simple_faster_rcnn, SIMPLE, "head.classifier.0"),
    ],
)
def test_fc6_gives_the_same_outputs_as_in_torch(read, state, fc6):
    pooled = np.random.default_rng(1).normal(size=(CHANNELS, 7, 7)).astype(np.float32)  # C,H,W as torch has it
    expected = state[f"{fc6}.weight"] @ pooled.reshape(-1)
    got = pooled.transpose(1, 2, 0).reshape(-1) @ read(state)["fc6"]["kernel"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_is_transposed():
    got = torchvision_faster_rcnn(TORCHVISION)["conv3_2"]["kernel"]
    np.testing.assert_array_equal(got[0, 2, 1, 3], TORCHVISION["backbone.12.weight"][3, 1, 0, 2])


def test_the_last_layer_of_a_classifier_is_ignored_and_half_floats_become_float32():
    params = vgg16_classifier({name: x.astype(np.float16) for name, x in VGG16.items()})
    assert list(params) == [*LAYERS, "fc6", "fc7"]
    assert all(x.dtype == np.float32 for layer in params.values() for x in layer.values())


def test_a_classifier_with_jcjohnsons_names_is_read():
    state = renamed(VGG16, {"classifier.0": "classifier.1", "classifier.3": "classifier.4"})
    assert_same(vgg16_classifier(state), vgg16_classifier(VGG16))


def test_timms_vgg16_is_read():
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    state = renamed(VGG16, names)
    for layer, shape in (("fc1", (HIDDEN, CHANNELS, 7, 7)), ("fc2", (HIDDEN, HIDDEN, 1, 1))):
        state[f"pre_logits.{layer}.weight"] = state[f"pre_logits.{layer}.weight"].reshape(shape)
    assert_same(vgg16_classifier(state), vgg16_classifier(VGG16))


def test_another_classifier_gives_the_convolutions():
    features = {name: x for name, x in VGG16.items() if name.startswith("features.")}
    for head in ({"classifier": (2, 9)}, {"classifier.1": (2, 9)}, {"fc": (2, 9)}):
        assert list(vgg16_classifier(features | random_state(head))) == list(LAYERS)
    state = {name: x for name, x in VGG16.items() if "classifier.6" not in name} | random_state(
        {"classifier.6.1": (2, 9)}
    )
    assert list(vgg16_classifier(state)) == [*LAYERS, "fc6", "fc7"]


def test_a_detector_is_no_classifier():
    for state in (SIMPLE, TORCHVISION):
        with pytest.raises(
            InputError, match="must be of a classifier, got .* Faster R-CNN.*; convert it with convert.py"
        ):
            classifier(state)


def test_a_file_of_features_gives_the_convolutions():
    state = {name: x for name, x in VGG16.items() if name.startswith("features.")}
    assert list(vgg16_classifier(state)) == list(LAYERS)


def test_torchvisions_object_logit_gets_a_background_logit_of_zero():
    got = torchvision_faster_rcnn(TORCHVISION)["rpn_cls_score"]
    np.testing.assert_array_equal(got["bias"].reshape(3, 2)[:, 0], 0)
    np.testing.assert_array_equal(got["bias"].reshape(3, 2)[:, 1], TORCHVISION["rpn.head.cls_logits.bias"])
    kernel = got["kernel"].reshape(1, 1, CHANNELS, ANCHORS, 2)
    np.testing.assert_array_equal(kernel[..., 0], 0)
    np.testing.assert_array_equal(kernel[0, 0, :, :, 1].T, TORCHVISION["rpn.head.cls_logits.weight"][:, :, 0, 0])


def test_the_rpn_of_torchvision_before_0_13_is_read():
    state = renamed(TORCHVISION, {"rpn.head.conv.0.0": "rpn.head.conv"})
    assert_same(torchvision_faster_rcnn(state), torchvision_faster_rcnn(TORCHVISION))


def test_simple_faster_rcnns_deltas_are_reordered_to_x_first():
    got = simple_faster_rcnn(SIMPLE)
    theirs = SIMPLE["rpn.loc.bias"].reshape(ANCHORS, 4)  # dy, dx, dh, dw
    np.testing.assert_array_equal(got["rpn_bbox_pred"]["bias"].reshape(ANCHORS, 4), theirs[:, [1, 0, 3, 2]])
    theirs = SIMPLE["head.cls_loc.weight"].T.reshape(HIDDEN, CLASSES + 1, 4)
    ours = got["bbox_pred"]["kernel"].reshape(HIDDEN, CLASSES + 1, 4)
    np.testing.assert_array_equal(ours, theirs[..., [1, 0, 3, 2]])


def test_simple_faster_rcnn_with_dropout_layers_is_read():
    state = renamed(SIMPLE, {"head.classifier.2": "head.classifier.3"})
    assert_same(simple_faster_rcnn(state), simple_faster_rcnn(SIMPLE))


def test_one_error_names_every_array_that_does_not_fit():
    state = dict(VGG16)
    del state["features.5.bias"], state["classifier.3.weight"]
    state["features.29.weight"] = state["features.7.weight"]
    state["features.10.weight"] = np.zeros((CHANNELS, 9, 3, 3), np.float32)
    state["features.0.weight"] = np.zeros((CHANNELS, 3, 3), np.float32)
    state["features.28.bias"] = np.zeros(CHANNELS, np.int64)
    with pytest.raises(InputError) as error:
        vgg16_classifier(state)
    assert str(error.value) == (
        "the weights must have the names and shapes of VGG16, got those of VGG16: "
        "missing classifier.3.weight, features.5.bias; unknown features.29.weight; "
        "features.0.weight is 4x3x3, should be 4x3x3x3; features.10.weight is 4x9x3x3, should be 4x4x3x3; "
        "features.28.bias is no array of floats; give a file of VGG16."
    )


def test_heads_that_do_not_fit_each_other_are_refused():
    state = SIMPLE | {
        name: np.concatenate([SIMPLE[name], SIMPLE[name]]) for name in ("head.cls_loc.weight", "head.cls_loc.bias")
    }
    with pytest.raises(InputError, match="head.cls_loc.bias is 24, should be 12; head.cls_loc.weight is 24x5, should"):
        simple_faster_rcnn(state)


@pytest.mark.parametrize(
    ("names", "network"),
    [
        (["conv1.weight", "layer1.0.conv1.weight"], "a ResNet"),
        (["body.layer1.0.conv1.weight", "head.classification_head.conv.0.0.weight"], "a ResNet"),
        (["features.0.weight", "features.1.running_mean", "features.28.weight"], "VGG with batch normalisation"),
        (["features.28.weight", "features.34.weight"], "VGG19"),
        (["features.0.weight", "features.10.weight"], "AlexNet"),
        (["encoder.layers.encoder_layer_0.ln_1.weight"], "a vision transformer"),
        (["something.else"], "no network known here"),
        ([], "no network known here"),
    ],
)
def test_the_error_names_another_network(names, network):
    state = dict.fromkeys(names, np.zeros(1, np.float32))
    with pytest.raises(InputError, match=f"got those of {network}: missing features.0.bias"):
        vgg16_classifier(state)
    with pytest.raises(InputError, match=f"the weights must be of VGG16, .*, got {network}"):
        identify(state)


def test_identify_names_the_three_networks():
    assert identify(VGG16) == "vgg16"
    assert identify(TORCHVISION) == "torchvision_faster_rcnn"
    assert identify(SIMPLE) == "simple_faster_rcnn"


def caffe(net, fully_connected=True):
    """State dict converted from Caffe, with 1/16 of the channels."""
    layers = {"fc6": (HIDDEN, 16 * 36), "fc7": (HIDDEN, HIDDEN), "fc8": (7, HIDDEN)}
    return make_backbones.state(net) | (random_state(layers) if fully_connected else {})


@pytest.mark.parametrize("net", ["alexnet", "zf"])
def test_caffes_alexnet_and_zf_are_read(net):
    state = caffe(net)
    params = classifier(state)
    assert list(params) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
    fresh = region_net(backbone=net, num_classes=1, num_anchors=0, width=1 / 16, head_features=HIDDEN).init
    fresh = jax.eval_shape(fresh, jax.random.key(0))
    assert jax.tree.map(np.shape, params) == {name: jax.tree.map(np.shape, fresh[name]) for name in params}
    np.testing.assert_array_equal(params["conv2"]["kernel"][1, 2, 0, 3], state["conv2.weight"][3, 0, 1, 2])
    pooled = np.random.default_rng(1).normal(size=(16, 6, 6)).astype(np.float32)  # C,H,W as Caffe has it
    got = pooled.transpose(1, 2, 0).reshape(-1) @ params["fc6"]["kernel"]
    np.testing.assert_allclose(got, state["fc6.weight"] @ pooled.reshape(-1), rtol=1e-4, atol=1e-5)
    assert list(classifier(caffe(net, fully_connected=False))) == ["conv1", "conv2", "conv3", "conv4", "conv5"]


def test_a_kernel_of_another_number_of_groups_is_refused():
    state = caffe("alexnet") | {"conv4.weight": np.zeros((24, 24, 3, 3), np.float32)}
    with pytest.raises(InputError, match="CaffeNet, got .*: conv4.weight is 24x24x3x3, should be 24x12x3x3; give"):
        classifier(state)
    with pytest.raises(InputError, match="of ZF-Net, got those of CaffeNet or ZF-Net: missing conv3.bias; give"):
        classifier({name: x for name, x in caffe("zf").items() if name != "conv3.bias"})


def test_torchvisions_alexnet_is_refused():
    indices = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    with pytest.raises(InputError, match="torchvision's, which has 64 and 192 channels .*, no groups and no LRN; give"):
        classifier(random_state({f"features.{i}": shape for i, shape in indices.items()}))


def test_classifier_reads_vgg16():
    assert_same(classifier(VGG16), vgg16_classifier(VGG16))
