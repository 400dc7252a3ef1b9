"""The fields of a config section are the keyword arguments of its function."""

import dataclasses
import inspect

import pytest

from jaxdet.config import dataset_fields, detector_fields, fields, training_fields
from jaxdet.data.augment import Augmentation
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.shapes import prepare_shapes
from jaxdet.data.datasets.voc import open_voc
from jaxdet.data.pipeline import InputOptions
from jaxdet.models.fast_rcnn import fast_rcnn
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rcnn import rcnn
from jaxdet.models.rpn import region_proposal_network
from jaxdet.nets.crop_net import crop_net
from jaxdet.nets.fpn_net import fpn_net
from jaxdet.nets.region_net import region_net
from jaxdet.ops.anchors import base_anchors
from jaxdet.ops.detect import detect
from jaxdet.ops.propose import propose
from jaxdet.ops.propose_by_level import propose_by_level
from jaxdet.ops.targets import roi_targets, rpn_targets
from jaxdet.proposals.search import search_split
from jaxdet.training.optimizer import make_optimizer


@pytest.mark.parametrize(
    ("section", "function", "not_in_the_config", "not_for_the_function"),
    [
        (dataset_fields.Shapes, prepare_shapes, set(), {"kind"}),
        (dataset_fields.Devkit, prepare_devkit, {"splits", "annotated"}, {"kind"}),
        (dataset_fields.Voc, open_voc, {"split", "annotated"}, {"kind"}),
        (fields.Input, InputOptions, set(), set()),
        (fields.AugmentationFields, Augmentation, set(), set()),
        (detector_fields.Net, region_net, {"num_classes", "num_anchors", "svd_ranks"}, set()),
        (detector_fields.Net, crop_net, {"num_classes"}, {"pool_rounding"}),
        (detector_fields.PyramidNet, fpn_net, {"num_classes", "num_anchors", "svd_ranks"}, set()),
        (detector_fields.ProposalLimits, propose_by_level, {"max_log_scale"}, set()),
        (detector_fields.Anchors, base_anchors, {"stride"}, set()),
        (detector_fields.RpnSampling, rpn_targets, set(), set()),
        (detector_fields.ProposalLimits, propose, {"max_log_scale"}, set()),
        (detector_fields.Rpn, region_proposal_network, set(), set()),
        (detector_fields.RoiSampling, roi_targets, {"delta_std"}, set()),
        (detector_fields.DetectionLimits, detect, {"max_log_scale"}, set()),
        (detector_fields.FastRcnnHead, fast_rcnn, {"num_classes"}, set()),
        (detector_fields.FasterHead, faster_rcnn, set(), set()),
        (detector_fields.RcnnHead, rcnn, set(), {"sampling"}),
        (fields.SelectiveSearch, search_split, set(), {"file"}),
        (training_fields.Optim, make_optimizer, {"steps"}, set()),
    ],
)
def test_fields_are_the_keyword_arguments_of_the_function(section, function, not_in_the_config, not_for_the_function):
    parameters = inspect.signature(function).parameters.values()
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    names = {field.name for field in dataclasses.fields(section)}
    assert names - not_for_the_function == keywords - not_in_the_config
