"""State dicts in checkpoints: wrappers, prefixes, several networks, other objects."""

import logging

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.weights.state_dict import state_dict
from jaxdet.weights.torch import classifier, identify
from jaxdet.weights.unpickle import Ignored
from tests.weights.test_resnet import CLASSIFIER, STATE
from tests.weights.test_torch import SIMPLE, TORCHVISION, VGG16, assert_same, caffe, random_state


def prefixed(prefix, state=VGG16, within="features."):
    return {prefix + name.replace("features.", within, 1): array for name, array in state.items()}


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "backbone.", "net.", "module._orig_mod.", "_orig_mod.module.", "a.b.c."],
)
@pytest.mark.parametrize("wrapper", ["", "model_state_dict", "net", "state_dict", "model", "ema_model", "checkpoint"])
@pytest.mark.parametrize("within", ["features.", "features.module.", "module.features.", "features._orig_mod."])
def test_every_prefix_and_wrapper_gives_the_same_parameters(prefix, wrapper, within):
    state = prefixed(prefix, within=within)
    contents = {"epoch": 3, wrapper: state, "args": Ignored("argparse.Namespace")} if wrapper else state
    assert_same(classifier(state_dict(contents)), classifier(VGG16))


def test_detectors_are_found_too():
    for state, kind in ((SIMPLE, "simple_faster_rcnn"), (TORCHVISION, "torchvision_faster_rcnn")):
        found = state_dict({"model": prefixed("module.", state), "optimizer": {"state": {0: {"m": np.zeros(3)}}}})
        assert found.keys() == state.keys() and identify(found) == kind
    assert_same(classifier(state_dict({"net": caffe("zf")})), classifier(caffe("zf")))


@pytest.mark.parametrize("prefix", ["", "module.", "net."])
def test_a_resnet_and_the_detector_over_it_are_found_in_a_checkpoint(prefix):
    for state, kind in ((CLASSIFIER, None), (STATE, "torchvision_faster_rcnn_fpn")):
        contents = {"model": prefixed(prefix, state), "optimizer": {"state": {0: {"m": np.zeros(3)}}}, "epoch": 3}
        assert state_dict(contents).keys() == state.keys()
        assert kind is None or identify(state_dict(contents)) == kind


def test_what_is_beside_the_network_is_left_out():
    outside = random_state({"head": (2, 9), "neck.0": (2, 9)}) | {
        "n_averaged": np.array(3),
        "best": 0.5,
        "names": ["a"],
    }
    assert_same(classifier(state_dict(prefixed("backbone.") | outside)), classifier(VGG16))
    assert_same(classifier(state_dict(VGG16 | outside)), classifier(VGG16))


def test_the_flattened_names_of_timms_features_are_read():
    features = {name: x for name, x in VGG16.items() if name.startswith("features.")}
    for prefix in ("", "backbone."):
        flattened = {prefix + name.replace("features.", "features_"): x for name, x in features.items()}
        assert_same(classifier(state_dict(flattened)), classifier(features))


def test_the_convolutions_may_be_in_a_module_of_any_name():
    features = {name: x for name, x in VGG16.items() if name.startswith("features.")}
    for prefix in ("", "encoder.", "model.encoder.0."):
        state = {prefix + name.removeprefix("features."): x for name, x in features.items()}
        assert_same(classifier(state_dict({"state_dict": state})), classifier(features))


def test_of_several_networks_the_shortest_and_first_is_read_and_named_in_the_log(caplog):
    other = {name: array + 1 for name, array in VGG16.items()}
    assert_same(classifier(state_dict({"ema": other, "model": VGG16})), classifier(other))
    assert "several networks (ema, model); reading ema" in caplog.text
    deeper = {"optimizer": {"exp_avg": other}, "model": VGG16}
    assert_same(classifier(state_dict(deeper)), classifier(VGG16))
    caplog.clear()
    state_dict({"model": VGG16, "state_dict": VGG16, "optimizer": {}})  # the same twice
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_dicts_that_contain_themselves_end():
    contents = {"model": VGG16}
    contents["again"] = contents
    assert_same(classifier(state_dict(contents)), classifier(VGG16))


@pytest.mark.parametrize(
    ("contents", "got"),
    [
        ([1, 2], "list"),
        (Ignored("torchvision.models.vgg.VGG"), "torchvision.models.vgg.VGG"),
        ({"model": Ignored("__main__.Net"), "epoch": 3}, "__main__.Net, int"),
        ({}, "nothing"),
        ({"x": "y" * 9999}, "str"),
    ],
)
def test_a_file_without_named_arrays_is_refused(contents, got):
    with pytest.raises(InputError, match=f"must hold a state dict of named arrays, got {got}; save model.state_dict"):
        state_dict(contents)


def test_the_error_for_another_network_is_short():
    state = {f"{'long' * 1000}.{i}.conv_{i}.weight": np.zeros(3, np.float32) for i in range(500)}
    for function in (classifier, identify):
        with pytest.raises(InputError, match="no network known here") as error:
            function(state_dict(state))
        assert len(str(error.value)) < 600
