import dataclasses
from pathlib import Path

import pytest

from configs import (
    fast_devkit,
    fast_voc,
    faster_devkit,
    faster_shapes,
    faster_voc,
    faster_voc_alternating,
    rcnn_devkit,
    rcnn_voc,
)
from jaxdet.checks import InputError
from jaxdet.config import schema
from jaxdet.config.dataset_fields import Shapes
from jaxdet.config.parse import parse
from jaxdet.config.schema import all_fields


@pytest.mark.parametrize(
    "module",
    [faster_devkit, faster_shapes, faster_voc, faster_voc_alternating, fast_devkit, fast_voc, rcnn_devkit, rcnn_voc],
)
def test_configs_have_the_sections_of_the_schema(module):
    config = module.get_config().to_dict()
    assert dataclasses.asdict(parse(config)).keys() - {"augmentation"} == config.keys()  # off unless it is set


def test_sections_become_typed_and_frozen():
    experiment = parse(faster_shapes.get_config().to_dict())
    assert isinstance(experiment, schema.FasterRcnn) and isinstance(experiment.dataset, Shapes)
    assert experiment.head.roi_targets.negative_iou == (0.0, 0.5)
    assert experiment.optim.classifier_learning_rate_factor == 1.0  # a default
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.training.steps = 3


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("sede", 3, "config: no field 'sede'; did you mean 'seed'?"),
        ("training.step", 3, "config: no field 'training.step'; did you mean 'training.steps'?"),
        ("splits.val", "val", "config: no field 'splits.val'; did you mean 'splits.validation'?"),
        ("evaluation.batchsize", 3, "config: no field 'evaluation.batchsize'; did you mean 'evaluation.batch_size'?"),
        ("training.keep", 0, "config: training.keep must be at least 1, got 0."),
        ("training.eval_every", -1, "config: training.eval_every must be at least 0, got -1."),
        ("evaluation.batch_size", 0, "config: evaluation.batch_size must be at least 1, got 0."),
        ("evaluation.detections_per_class", -1, "config: evaluation.detections_per_class must be at least 0, got -1."),
        (
            "evaluation.svd_ranks",
            (8,),
            "config: evaluation.svd_ranks must have 2 values, got (8,): "
            "ranks of the compressed fc6 and fc7; 0 leaves a layer as trained.",
        ),
        (
            "head.roi_targets.iou",
            0.5,
            "config: no field 'head.roi_targets.iou'; did you mean 'head.roi_targets.positive_iou'?",
        ),
        ("input.max_gt", 0, "config: input.max_gt must be at least 1, got 0."),
        (
            "head.detections.score_threshold",
            50.0,
            "config: head.detections.score_threshold must be at most 1, got 50.0.",
        ),
        ("rpn.targets.positive_iou", 1.5, "config: rpn.targets.positive_iou must be at most 1, got 1.5."),
        (
            "head.roi_targets.negative_iou",
            (0.1, 5.0),
            "config: head.roi_targets.negative_iou must be at most 1, got 5.0.",
        ),
        ("net.dropout", 1.0, "config: net.dropout must be below 1, got 1.0."),
        (
            "rpn.sigma",
            float("nan"),
            "config: rpn.sigma must be a number, got nan: smooth L1 turns linear at 1 / sigma^2.",
        ),
        (
            "system",
            "fast_rccn",
            "config: system must be one of faster_rcnn, faster_rcnn_fpn, fast_rcnn, rcnn, got 'fast_rccn'; did "
            "you mean 'fast_rcnn'?",
        ),
    ],
)
def test_unknown_fields_and_numbers_out_of_range_are_refused(field, value, error):
    config = faster_shapes.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError) as refused:
        parse(config.to_dict())
    assert str(refused.value) == error


def test_a_missing_field_is_named():
    config = faster_shapes.get_config()
    del config.training.keep
    with pytest.raises(InputError, match="config training: field 'keep' is missing"):
        parse(config.to_dict())


@pytest.mark.parametrize(
    ("module", "field", "value", "error"),
    [
        (fast_voc, "anchors", {}, "config: no field 'anchors'; "),
        (fast_voc, "stages", {}, "config: no field 'stages'; "),
        (faster_shapes, "proposals", {}, "config: no field 'proposals'; "),
        (rcnn_voc, "linear.bbox", True, "config: no field 'linear.bbox'; did you mean 'linear.bbox_regression'?"),
        (
            rcnn_voc,
            "evaluation.svd_ranks",
            (64, 0),
            "config: evaluation.svd_ranks must be (0, 0) for R-CNN, got (64, 0)",
        ),
        (faster_voc_alternating, "stages.rpm", {}, "config: no field 'stages.rpm'; did you mean 'stages.rpn'?"),
        (
            faster_voc_alternating,
            "stages.rpn.step",
            3,
            "config: no field 'stages.rpn.step'; did you mean 'stages.rpn.steps'?",
        ),
        (faster_voc_alternating, "stages.rpn.steps", 0, "config: stages.rpn.steps must be at least 1, got 0."),
        (
            faster_voc_alternating,
            "stages.rpn.batch_size",
            0,
            "config: stages.rpn.batch_size must be at least 1, got 0.",
        ),
        (
            faster_voc_alternating,
            "training.steps",
            3,
            "config training: no field 'steps' with stages; set stages.fast_rcnn.steps and stages.rpn.steps.",
        ),
        (
            faster_voc_alternating,
            "optim.boundaries",
            (3,),
            "config optim: no field 'boundaries' with stages; set stages.fast_rcnn.boundaries and stages.rpn.bound",
        ),
    ],
)
def test_each_system_has_its_own_fields(module, field, value, error):
    config = module.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError) as refused:
        parse(config.to_dict())
    assert str(refused.value).startswith(error)


def test_a_missing_section_is_named():
    config = rcnn_voc.get_config()
    del config.linear
    with pytest.raises(InputError, match="config file: field 'linear' is missing; Rcnn needs it"):
        parse(config.to_dict())


def test_each_stage_has_its_own_lengths():
    experiment = parse(faster_voc_alternating.get_config().to_dict())
    rpn, fast = (experiment.stage(getattr(experiment.stages, name)) for name in ("rpn", "fast_rcnn"))
    assert (rpn.training.steps, rpn.training.batch_size, rpn.optim.boundaries) == (80_000, 1, (60_000,))
    assert (fast.training.steps, fast.training.batch_size, fast.optim.boundaries) == (40_000, 2, (30_000,))
    assert rpn.head == experiment.head and isinstance(rpn, schema.FasterRcnn)


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("training.steps", "10", "config: training.steps must be a whole number, got '10': optimiser steps."),
        ("training.steps", True, "config: training.steps must be a whole number, got True: optimiser steps."),
        (
            "input.flip",
            1,
            "config: input.flip must be True or False, got 1: mirror each training image with probability 1/2.",
        ),
        ("net", 3, "config: net must be a section, got 3; see the configs for its fields."),
        ("dataset.kind", "coco", "config: dataset.kind must be one of shapes, devkit, voc, got 'coco'; "),
        ("anchors.scales", 8.0, "config: anchors.scales must be a tuple such as (1, 2), got 8.0: sides of the anchors"),
    ],
)
def test_values_of_another_type_are_refused(path, value, error):
    config = faster_shapes.get_config().to_dict()
    *sections, field = path.split(".")
    section = config
    for name in sections:
        section = section[name]
    section[field] = value
    with pytest.raises(InputError) as refused:
        parse(config)
    assert str(refused.value).startswith(error)


def test_whole_numbers_and_lists_are_converted():
    config = faster_shapes.get_config().to_dict()
    config["anchors"]["scales"], config["net"]["width"] = [1, 2], 1
    experiment = parse(config)
    assert experiment.anchors.scales == (1.0, 2.0) and isinstance(experiment.net.width, float)


PATHS = {path for path, hint, _ in all_fields() if Path in hint.__metadata__}


def test_fields_of_files_and_folders_are_paths():
    assert {
        *("dataset.data_dir", "dataset.devkit", "dataset.archives"),
        *("training.init_from", "training.pretrained_file", "proposals.file"),
    } == PATHS


@pytest.mark.parametrize("path", sorted(PATHS))
def test_the_home_folder_in_a_path_is_replaced_and_an_unknown_user_is_named(monkeypatch, path):
    monkeypatch.setenv("HOME", "/home/me")
    config = fast_voc.get_config() if path != "dataset.devkit" else faster_devkit.get_config()
    section, name = path.split(".")
    config[section][name] = "~/x"
    assert getattr(getattr(parse(config.to_dict()), section), name) == "/home/me/x"
    config[section][name] = "~nosuchuser/x"
    with pytest.raises(InputError, match=f"config: {path}: there is no home folder of ~nosuchuser, got"):
        parse(config.to_dict())
