import ast
import dataclasses

import numpy as np
import pytest

from jaxdet.cli.config_file import load_config
from jaxdet.config.parse import parse
from jaxdet.doctor.advice import advise
from jaxdet.evaluation.tables import GroundTruthTable


def experiment(name="faster_devkit", **training):
    parsed = parse(load_config(name).to_dict())
    return dataclasses.replace(parsed, training=dataclasses.replace(parsed.training, **training))


def split(side, *, image=(480, 640), count=40, height_over_width=1.0, apart=True, seed=0):
    """One object per image with a size around `side`; or pairs of touching ones."""
    rng = np.random.default_rng(seed)
    sides = side * 2 ** rng.uniform(-0.5, 0.5, count)
    width, height = sides / height_over_width**0.5, sides * height_over_width**0.5
    x, y = rng.uniform(0, image[1] - width), rng.uniform(0, image[0] - height)
    boxes = np.stack([x, y, x + width, y + height], axis=1)
    index = np.arange(count, dtype=np.int32)
    if not apart:  # the second half overlaps the first by IoU 0.4
        half = count // 2
        boxes[half:] = boxes[:half] + (width[:half] * 0.43)[:, None] * [1, 0, 1, 0]
        index[half:] = index[:half]
    labels = np.ones(count, np.int32)
    return GroundTruthTable(index, boxes, labels, np.zeros(count, bool)), np.tile(image, (count, 1))


def flags(truth, sizes, experiment):
    return [flag for finding in advise(truth, sizes, experiment) for flag in finding.flags]


def values(flag):
    return ast.literal_eval(flag.partition("=")[2])


def test_photos_smaller_than_the_input_are_not_enlarged():
    listed = flags(*split(100), experiment())
    assert listed[:2] == ["--config.input.short_side=480", "--config.input.long_side=640"]
    (text,) = [finding.text for finding in advise(*split(100), experiment()) if "objects span" in finding.text]
    assert "pixels at 480 x 640; 5 -> " in text


def test_photos_with_small_objects_stay_enlarged():
    assert not any("input" in flag for flag in flags(*split(26), experiment()))


def test_photos_that_lose_their_small_objects_are_reduced_less():
    listed = flags(*split(40, image=(2400, 3200)), experiment())
    assert listed[:2] == ["--config.input.short_side=1200", "--config.input.long_side=1600"]
    assert not any("input" in flag for flag in flags(*split(400, image=(2400, 3200)), experiment()))


def test_objects_beyond_the_anchors_get_scales_that_reach_them():
    truth, sizes = split(18, image=(600, 800))
    (flag,) = [flag for flag in flags(truth, sizes, experiment()) if "scales" in flag]
    assert min(values(flag)) < 2


def test_fewer_scales_are_advised_where_objects_are_of_one_size():
    truth, sizes = split(128, image=(600, 800))
    (flag,) = [flag for flag in flags(truth, sizes, experiment()) if "scales" in flag]
    assert len(values(flag)) <= 3


def test_long_objects_get_other_ratios():
    truth, sizes = split(100, image=(600, 800), height_over_width=0.15)
    (flag,) = [flag for flag in flags(truth, sizes, experiment()) if "ratios" in flag]
    assert max(values(flag)) < 0.5


def small_input(**training):
    parsed = experiment(**training)
    sides = dataclasses.replace(parsed.input, short_side=208, long_side=288)
    anchors = dataclasses.replace(parsed.anchors, scales=(2.0, 4.0, 8.0, 16.0))
    return dataclasses.replace(parsed, input=sides, anchors=anchors)


@pytest.mark.parametrize("training", [{}, {"init_from": "runs/x"}])
def test_anchors_across_the_border_are_advised_where_large_objects_have_no_other(training):
    flag = "--config.rpn.cross_boundary_anchors=True"
    large = split(290, image=(375, 500), height_over_width=0.75)
    (finding,) = [finding for finding in advise(*large, small_input(**training)) if flag in finding.flags]
    assert "% -> 100% of the objects overlap an anchor by IoU 0.5" in finding.text
    assert flag not in flags(*split(100, image=(375, 500)), small_input(**training))


@pytest.mark.parametrize("short_side", [208, 600])
def test_anchors_across_the_border_are_advised_for_the_size_of_the_config_and_the_advised_one(short_side):
    truth, sizes = split(190, image=(240, 320), height_over_width=0.75)
    parsed = small_input()
    sides = dataclasses.replace(parsed.input, short_side=short_side, long_side=short_side * 4 // 3)
    listed = flags(truth, sizes, dataclasses.replace(parsed, input=sides))
    assert "--config.rpn.cross_boundary_anchors=True" in listed
    assert ("--config.input.short_side=240" in listed) == (short_side == 600)


def test_scales_are_advised_for_a_training_with_the_anchors_across_the_border():
    large = split(290, image=(375, 500), height_over_width=0.75)
    (scales,) = [values(flag) for flag in flags(*large, small_input()) if "scales" in flag]
    assert max(scales) > 8


@pytest.mark.parametrize("training", [{"init_from": "runs/x"}, {"pretrained": "coco"}])
def test_anchors_of_a_detector_that_training_starts_from_stay(training):
    name = "faster_devkit" if "init_from" in training else "faster_resnet50_fpn_devkit"
    assert not any("anchors" in flag for flag in flags(*split(12), experiment(name, **training)))


def test_a_pyramid_from_imagenet_gets_sizes_for_small_objects():
    truth, sizes = split(14, image=(800, 1000))
    (flag,) = [flag for flag in flags(truth, sizes, experiment("coco_resnet50_fpn")) if "sizes" in flag]
    assert values(flag)[0] < 32


def test_objects_that_touch_get_a_higher_nms_threshold():
    assert "--config.head.detections.nms_iou=0.5" in flags(*split(100, apart=False), experiment())
    assert not any("nms" in flag for flag in flags(*split(100), experiment()))


@pytest.mark.parametrize("name", ["rcnn_devkit", "fast_devkit"])
def test_systems_without_anchors_get_no_advice_about_them(name):
    assert not any("anchors" in flag for flag in flags(*split(12), experiment(name)))


def test_few_objects_give_no_advice():
    assert advise(*split(100, count=10), experiment()) == []
