import dataclasses

import numpy as np

from jaxdet.cli.config_file import load_config
from jaxdet.config.parse import parse
from jaxdet.doctor.first_look import IMAGES, MOST, first_look
from jaxdet.types import Annotation


class Photos:
    """A split of photos of 480 x 640 with touching objects of 100 pixels."""

    def __init__(self, count):
        self.image_sizes = np.tile([480, 640], (count, 1))
        self.read = []

    def __len__(self):
        return len(self.image_sizes)

    def annotations(self, i):
        self.read.append(i)
        boxes = np.array([[100, 100, 200, 200], [143, 100, 243, 200]], np.float32)
        return Annotation(str(i), boxes, np.ones(2, np.int32), np.zeros(2, bool))


def experiment(**fields):
    parsed = parse(load_config("faster_devkit").to_dict())
    return dataclasses.replace(parsed, input=dataclasses.replace(parsed.input, **fields))


def test_the_two_most_important_findings_are_returned():
    findings = first_look(Photos(30), experiment(max_gt=1))
    assert len(findings) == MOST
    assert [finding.severity for finding in findings] == ["error", "warning"]
    assert findings[1].flags == ("--config.head.detections.nms_iou=0.5",)


def test_few_annotations_of_a_large_split_are_read_spread_over_it():
    photos = Photos(5000)
    first_look(photos, experiment())
    assert (len(photos.read), photos.read[0], photos.read[-1]) == (IMAGES, 0, 4999)


def test_nothing_to_say_is_nothing():
    empty = Photos(3)
    empty.annotations = lambda i: Annotation("", np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool))
    assert first_look(empty, experiment()) == []
