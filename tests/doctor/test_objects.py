import dataclasses

import numpy as np
import pytest

from jaxdet.cli.config_file import load_config
from jaxdet.config.parse import parse
from jaxdet.doctor.objects import (
    anchor_ious,
    cell_side,
    neighbour_ious,
    object_findings,
    resized_objects,
    summary,
)
from jaxdet.evaluation.tables import GroundTruthTable

SIZES = np.array([[300, 400], [300, 400]])
INPUT = {"short_side": 600, "long_side": 1000}


def experiment(name="faster_devkit", **input_fields):
    parsed = parse(load_config(name).to_dict())
    return dataclasses.replace(parsed, input=dataclasses.replace(parsed.input, **input_fields))


def truth(*boxes, difficult=(), labels=None):
    """Objects of the first image."""
    count = len(boxes)
    return GroundTruthTable(
        image=np.zeros(count, np.int32),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.array(labels or [1] * count, np.int32),
        difficult=np.isin(np.arange(count), difficult),
    )


def objects(*boxes, **options):
    return resized_objects(truth(*boxes, **options), SIZES, **INPUT, use_difficult=False)


def test_objects_are_measured_after_resizing_and_difficult_ones_left_out():
    resized = objects((0, 0, 10, 40), (0, 0, 8, 8), difficult=(1,))
    assert resized.sizes.tolist() == [40]
    assert resized.ratios.tolist() == [4]
    assert resized.image_sizes.tolist() == [[600, 800]]
    everything = resized_objects(truth((0, 0, 8, 8), difficult=(0,)), SIZES, **INPUT, use_difficult=True)
    assert everything.sizes.tolist() == [16]


def test_objects_beyond_max_gt_are_counted_and_room_for_all_is_advised():
    crowd = objects(*[(10 * i, 0, 10 * i + 10, 100) for i in range(11)])
    (finding,) = [each for each in object_findings(crowd, experiment(max_gt=3)) if each.severity == "error"]
    assert "8 of 11 objects are lost: the smallest of crowded images (1), with up to 11 objects" in finding.text
    assert finding.flags == ("--config.input.max_gt=16",)
    assert not [each for each in object_findings(crowd, experiment(max_gt=11)) if each.severity == "error"]


def test_objects_below_a_cell_are_counted():
    listed = object_findings(objects((0, 0, 7, 100), (0, 0, 100, 100)), experiment())
    assert "1 of 2 objects (50%) are narrower or lower than a cell of the feature map (16 pixels)" in listed[0].text
    assert [cell_side(experiment(name)) for name in ("faster_resnet50_fpn_devkit", "fast_devkit", "rcnn_devkit")] == [
        *(4, 16, 0),
    ]


def test_objects_that_no_anchor_fits_are_counted():
    listed = object_findings(objects((0, 0, 400, 12), (100, 100, 164, 164)), experiment())
    (finding,) = [each for each in listed if "overlap no anchor" in each.text]
    assert finding.text.startswith("1 of 2 objects (50%) overlap no anchor inside its image by IoU 0.7")
    assert "1 of them none by 0.5" in finding.text
    assert finding.severity == "warning"


def test_systems_without_anchors_and_splits_without_objects_have_no_such_findings():
    listed = object_findings(objects((0, 0, 400, 12)), experiment("rcnn_devkit"))
    assert not [each for each in listed if "anchor" in each.text]
    assert object_findings(objects(), experiment()) == []
    assert summary(objects(), experiment(), ("cat",))["classes"] == []


def test_the_best_anchor_of_a_square_of_an_anchors_size_is_nearly_the_square():
    assert anchor_ious(objects((100, 100, 164, 164)), experiment()) == pytest.approx([1], abs=0.15)


def test_neighbours_are_of_the_same_class_and_image():
    boxes = (0, 0, 100, 100), (0, 0, 100, 50), (0, 0, 100, 50), (200, 0, 300, 50)
    assert neighbour_ious(objects(*boxes, labels=[1, 1, 2, 1])) == pytest.approx([0.5, 0.5, 0, 0])
    assert neighbour_ious(objects()).tolist() == []


def test_rows_hold_the_quantiles_of_classes_that_have_objects():
    numbers = summary(objects((0, 0, 50, 50), labels=[2]), experiment(), ("cat", "dog"))
    (row,) = numbers["classes"]
    assert (row["class"], row["objects"], row["size"]) == ("dog", 1, [100, 100, 100])
    assert 0 <= numbers["objects_with_a_positive_anchor"] <= 1
