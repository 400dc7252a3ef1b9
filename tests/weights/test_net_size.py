"""The size of a net is read off its parameters."""

import pytest

from configs import fast_devkit, faster_resnet50_fpn_devkit
from jaxdet.checks import InputError
from jaxdet.config.parse import parse
from jaxdet.nets.sizes import LAST_CONVOLUTIONS
from jaxdet.systems import build_detector, param_shapes
from jaxdet.weights.net_size import net_size


@pytest.mark.parametrize("backbone", LAST_CONVOLUTIONS)
def test_width_and_head_features_are_those_that_the_net_was_built_with(backbone):
    config = (faster_resnet50_fpn_devkit if backbone == "resnet50" else fast_devkit).get_config()
    config.net.update({"backbone": backbone, "width": 1 / 16, "head_features": 12, "preprocessing": "caffe"})
    if backbone != "resnet50":
        config.net.update({"pool_rounding": "ceil", "dropout_scaling": "train"})
    params = param_shapes(build_detector(parse(config.to_dict()), ("a",)))
    assert net_size(params, backbone) == {"width": 1 / 16, "head_features": 12}
    del params["fc6"]
    assert net_size(params, backbone) == {"width": 1 / 16}


def test_parameters_of_another_backbone_have_no_size():
    assert net_size({"conv1": {}}, "vgg16") == {}
    with pytest.raises(InputError, match="net.backbone must be one of .*, got 'vgg17'; did you mean 'vgg16'"):
        net_size({}, "vgg17")
