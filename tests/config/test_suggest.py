"""An unknown field is answered with the field that its name stands for."""

import pytest

from configs import coco_resnet50_fpn, fast_voc, faster_devkit_alternating, faster_shapes, rcnn_voc
from jaxdet.config.parse import fields_of
from jaxdet.config.suggest import OTHER_NAMES, suggest

CONFIGS = (faster_shapes, coco_resnet50_fpn, faster_devkit_alternating, fast_voc, rcnn_voc)


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("lr", "optim.learning_rate"),
        ("optim.lr", "optim.learning_rate"),
        ("training.lr", "optim.learning_rate"),
        ("imgsz", "input.short_side"),
        ("batch", "training.batch_size"),
        ("batch_size", "training.batch_size"),
        ("optim.batch_size", "training.batch_size"),
        ("evaluation.batch", "evaluation.batch_size"),
        ("conf", "head.detections.score_threshold"),
        ("resnet50", "net.backbone"),
        ("weight_decay", "optim.weight_decay"),
        ("Weight-Decay", "optim.weight_decay"),
        ("optim.steps", "training.steps"),
        ("lerning_rate", "optim.learning_rate"),
        ("training.stepss", "training.steps"),
        ("head.detections.max_size", "head.detections.min_size"),
        ("trainin", "training"),
        ("sed", "seed"),
    ],
)
def test_the_field_that_is_meant(unknown, meant):
    assert suggest(unknown, fields_of(faster_shapes.get_config())) == f"did you mean {meant!r}?"


def test_a_name_without_a_likeness_is_told_where_the_fields_are():
    fields = fields_of(faster_shapes.get_config())
    assert suggest("xyz", fields) == suggest("net.xyz", fields) == "`jaxdet train --help` lists all fields."


def test_the_lengths_of_four_stages_are_all_named():
    meant = suggest("batch", fields_of(faster_devkit_alternating.get_config()))
    assert meant == "did you mean 'stages.fast_rcnn.batch_size' or 'stages.rpn.batch_size'?"


def test_other_names_stand_for_fields_that_exist():
    fields = {path for module in CONFIGS for path in fields_of(module.get_config())}
    assert {path for text in OTHER_NAMES.values() for path in text.split()} <= fields
    assert not OTHER_NAMES.keys() & fields
