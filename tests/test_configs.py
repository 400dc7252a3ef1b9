"""Every config builds; a variant differs from its base in the fields that its docstring names and in no other.

The originals' names stand beside the values in faster_voc.py, fast_voc.py and rcnn_voc.py.
"""

import importlib
import pathlib
import re

import numpy as np
import pytest

from configs import (
    coco_resnet50_fpn,
    fast_devkit,
    fast_voc,
    faster_devkit,
    faster_devkit_alternating,
    faster_resnet50_fpn_devkit,
    faster_shapes,
    faster_voc,
    faster_voc0712,
    faster_voc0712_alternating,
    faster_voc12_article,
    faster_voc_accelerator,
    faster_voc_alternating,
    faster_zf_voc,
    rcnn_voc,
    simple_faster_rcnn,
)
from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.config.schema import FasterRcnnAlternating
from jaxdet.ops.anchors import base_anchors
from jaxdet.recipes.stage import make_stage, trainable_paths
from jaxdet.systems import build_detector, param_shapes

FOLDER = pathlib.Path(__file__).parents[1] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_config_builds_its_detector_and_stage(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config()
    assert config.name == name
    if config.net.backbone in ("alexnet", "zf"):  # not published in a layout that is read
        config.training.pretrained = ""
    experiment = resolve_config(parse(config.to_dict()), tmp_path)
    if isinstance(experiment, FasterRcnnAlternating):
        experiment = experiment.stage(experiment.stages.fast_rcnn)
    detector = build_detector(experiment, ("a", "b", "c"))
    assert param_shapes(detector)["cls_score"]["bias"].shape == (4,)
    make_stage(experiment, detector, trainable_paths(detector, experiment.training.frozen), name="joint")


def bases_of(name):
    """The configs that a config is derived from."""
    source = (FOLDER / f"{name}.py").read_text()
    return re.findall(r"= (\w+)\.get_config\(\)", source)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_complete_or_derived_in_at_most_two_levels(name):
    source = (FOLDER / f"{name}.py").read_text()
    assert "del " not in source
    bases = bases_of(name)
    assert not [third for first in bases for second in bases_of(first) for third in bases_of(second)]
    if name in ("coco_resnet50_fpn", "faster_shapes", "faster_devkit", "faster_voc", "fast_voc", "fast_devkit"):
        assert bases == []


def test_weights_of_the_papers_decide_the_preprocessing(tmp_path):
    net = resolve_config(parse(faster_voc.get_config().to_dict()), tmp_path).net
    assert (net.preprocessing, net.pool_rounding) == ("caffe", "ceil")


@pytest.mark.parametrize("name", NAMES)
def test_only_training_from_scratch_looks_linear(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    if config.system == "faster_rcnn_fpn":  # a pyramid's net has one initialisation
        return
    assert config.net.init == ("he_normal" if config.training.pretrained else "looks_linear")


def flat(module):
    """The fields of a config as (path, value)."""

    def fields(tree, prefix=""):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from fields(value, f"{prefix}{name}.")
            else:
                yield prefix + name, value

    return dict(fields(module.get_config().to_dict()))


@pytest.mark.parametrize(
    ("variant", "base", "differences"),
    [
        (
            faster_voc0712,
            faster_voc,
            {
                "splits.train": "2007/trainval+2012/trainval",
                "optim.boundaries": (80_000,),
                "training.steps": 110_000,
            },
        ),
        # solver_60k80k and solver_30k60k of the authors' VGG16_for_Faster_RCNN_VOC0712.m.
        (
            faster_voc0712_alternating,
            faster_voc_alternating,
            {"splits.train": "2007/trainval+2012/trainval", "stages.fast_rcnn.steps": 60_000},
        ),
        (
            faster_voc_accelerator,
            faster_voc,
            {
                "net.compute_dtype": "bfloat16",
                "optim.warmup_steps": 500,
                "training.batch_size": 8,
                "training.accumulate": 1,
                "training.reference_batch_size": 2,
                "evaluation.batch_size": 8,
            },
        ),
        # py-faster-rcnn's ZF solver has VGG16's numbers; its train.prototxt has no lr_mult 0.
        (faster_zf_voc, faster_voc, {"net.backbone": "zf", "training.frozen": ()}),
        (
            simple_faster_rcnn,
            faster_voc,
            {
                "training.pretrained": "torchvision",
                "net.dropout": 0.0,
                "anchors.convention": "simple_faster_rcnn",
                "head.inclusive_boxes": True,
                "head.detections.max_detections": 1000,
                "optim.boundaries": (50_110,),  # ten epochs: `if epoch == 9` stands behind the epoch's loop
                "optim.decay_biases": False,
                "training.steps": 14 * 5_011,
                "training.batch_size": 1,
                "training.accumulate": 1,
                "evaluation.batch_size": 1,
            },
        ),
        # tools/train_faster_rcnn_alt_opt.py, its cfgs and VGG16's solvers and prototxts in faster_rcnn_alt_opt.
        (
            faster_voc_alternating,
            faster_voc,
            {
                "rpn.train_proposals.pre_nms_top_n": 1_000_000,
                "head.roi_targets.batch_size": 64,
                "stages.rpn.steps": 80_000,
                "stages.rpn.batch_size": 1,
                "stages.rpn.boundaries": (60_000,),
                "stages.fast_rcnn.steps": 40_000,
                "stages.fast_rcnn.batch_size": 2,
                "stages.fast_rcnn.boundaries": (30_000,),
                "stages.mirrored_proposals": False,
                "training.accumulate": 1,
            },
        ),
        (
            faster_devkit_alternating,
            faster_devkit,
            {
                "head.roi_targets.batch_size": 64,
                "stages.rpn.steps": 2_500,
                "stages.rpn.batch_size": 2,
                "stages.rpn.boundaries": (),
                "stages.fast_rcnn.steps": 2_500,
                "stages.fast_rcnn.batch_size": 2,
                "stages.fast_rcnn.boundaries": (),
                "stages.mirrored_proposals": False,
            },
        ),
        # Fast R-CNN, 2.3 and 3.1; fast-rcnn's config.py, solver and prototxt.
        (
            fast_voc,
            faster_voc,
            {
                "system": "fast_rcnn",
                "input.use_difficult": True,
                "proposals.max_boxes": 2000,
                "proposals.min_side": 20.0,
                "proposals.width": 500,
                "proposals.segment_sizes": (50, 100),
                "proposals.workers": 2,
                "proposals.file": "",
                "head.roi_targets.negative_iou": (0.1, 0.5),
                "head.roi_targets.batch_size": 64,
                "head.detections.score_threshold": -1e6,
                "head.scoring": "softmax",
                "head.detections.pre_nms_per_class": 100,
                "head.detections.max_detections": 2000,
                "optim.boundaries": (30_000,),
                "optim.decay_biases": False,
                "training.steps": 40_000,
                "training.accumulate": 1,
                "evaluation.detections_per_class": 40,
            },
        ),
        # finetuning/voc_2007_prototxt of rcnn, and its rcnn_test.m; R-CNN, 2.3 and appendix B.
        (
            rcnn_voc,
            fast_voc,
            {
                "system": "rcnn",
                "input.short_side": 500,
                "input.long_side": 500,
                "input.flip": False,
                "input.drop_empty": False,
                "net.backbone": "alexnet",
                "head.roi_targets.negative_iou": (0.0, 0.5),
                "head.roi_targets.batch_size": 8,
                "head.context": 16,
                "head.chunk": 64,
                "head.scoring": "svm",
                "head.sampling": "data_set",
                "linear.bbox_regression": True,
                "optim.boundaries": (20_000, 40_000, 60_000),
                "optim.classifier_learning_rate_factor": 10.0,
                "training.steps": 70_000,
                "training.batch_size": 16,
                "training.frozen": (),
            },
        ),
        (
            fast_devkit,
            faster_devkit,
            {
                "system": "fast_rcnn",
                "proposals.max_boxes": 2000,
                "proposals.min_side": 20.0,
                "proposals.width": 500,
                "proposals.segment_sizes": (),
                "proposals.workers": 2,
                "proposals.file": "",
                "head.roi_targets.batch_size": 64,
                "head.scoring": "softmax",
            },
        ),
        # references/detection of torchvision: 26 epochs of 16 images per step at 0.02.
        (
            faster_resnet50_fpn_devkit,
            coco_resnet50_fpn,
            {
                "optim.learning_rate": 0.02 * 2 / 16,
                "optim.boundaries": (1_500,),
                "optim.warmup_steps": 200,
                "training.steps": 2_000,
                "training.batch_size": 2,
                "training.pretrained": "coco",
                "training.eval_every": 500,
                "training.checkpoint_every": 250,
            },
        ),
    ],
    ids=lambda value: value.__name__ if hasattr(value, "__name__") else "",
)
def test_a_variant_differs_as_it_says(variant, base, differences):
    ours, others = flat(variant), flat(base)
    changed = {name: value for name, value in ours.items() if name not in others or others[name] != value}
    changed.pop("name")
    assert changed == differences


def test_the_articles_recipe():
    config = faster_voc12_article.get_config()
    assert config.splits.to_dict() == {"train": "2012/trainval", "validation": "", "test": "2007/test"}
    limits = config.rpn.train_proposals, config.rpn.test_proposals
    assert [(p.pre_nms_top_n, p.post_nms_top_n, p.nms_iou) for p in limits] == [(6000, 2000, 0.7), (6000, 300, 0.7)]
    assert (config.rpn.box_weight, config.rpn.box_normaliser, config.head.roi_pooling) == (10, "locations", "align")
    assert not config.rpn.cross_boundary_anchors  # the article's text; TorchVision's code trains on them
    optim = config.optim
    assert (optim.learning_rate, optim.final_learning_rate, optim.schedule) == (1e-3, 1e-5, "cosine")
    assert optim.bias_learning_rate_factor == 1
    assert (config.training.steps, config.training.batch_size) == (600_000, 1)
    boxes = base_anchors(**keywords(parse(config.to_dict()).anchors), stride=16)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    np.testing.assert_allclose(np.sqrt(areas), np.tile([128, 256, 512], 3), rtol=0.01)


def test_the_demo_is_a_small_own_data_recipe():
    assert flat(faster_shapes).keys() - flat(faster_devkit).keys() == {
        f"dataset.{field}" for field in ("image_size", "train", "validation", "test", "seed")
    }
