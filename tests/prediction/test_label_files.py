"""Detections of one image as annotations that other tools, and jaxdet's own reader, read."""

from xml.etree import ElementTree

import numpy as np

from jaxdet.data.datasets import voc_xml as voc_xml_reader
from jaxdet.prediction.label_files import voc_xml, yolo_lines
from jaxdet.types import ImageDetections

BOXES = np.float32([[0, 0, 90, 60], [10.4, 20.6, 30.2, 40], [89.7, 59.7, 90, 60], [5, 5, 5.2, 5.2]])
DETECTIONS = ImageDetections(
    BOXES, np.float32([0.9, 0.8, 0.7, 0.6]), np.int32([2, 1, 1, 2]), ("a & b", "é", "é", "a & b")
)


def test_vocs_xml_counts_pixels_from_1():
    root = ElementTree.fromstring(voc_xml("photo.jpg", 60, 90, DETECTIONS))
    boxes = [[int(corner.text) for corner in box] for box in root.iter("bndbox")]
    assert boxes == [[1, 1, 90, 60], [11, 22, 30, 40], [90, 60, 90, 60], [6, 6, 6, 6]]
    assert [name.text for name in root.iter("name")] == list(DETECTIONS.class_names)
    assert root.findtext("filename") == "photo.jpg"


def test_jaxdets_own_reader_reads_vocs_xml():
    root = voc_xml_reader.read_xml(voc_xml("photo.jpg", 60, 90, DETECTIONS).encode())
    assert voc_xml_reader.annotated_size(root) == (60, 90)
    objects, _ = voc_xml_reader.read_objects(root, 60, 90, ("a & b", "é"))
    assert [(item.name, item.box) for item in objects] == [("a & b", (0, 0, 90, 60)), ("é", (10, 21, 30, 40))]


def test_characters_that_xml_lacks_are_replaced():
    assert "<filename>a??b.jpg</filename>" in voc_xml("a\x00\udce9b.jpg", 60, 90, DETECTIONS)


def test_yolos_lines_are_parts_of_the_sides():
    first, second, *_ = yolo_lines(60, 90, DETECTIONS).splitlines()
    assert first == "1 0.500000 0.500000 1.000000 1.000000"
    label, *parts = second.split()
    assert label == "0"
    np.testing.assert_allclose(np.float64(parts), [20.3 / 90, 30.3 / 60, 19.8 / 90, 19.4 / 60], atol=1e-6)


def test_an_image_without_objects_has_a_file_without_lines():
    nothing = ImageDetections(BOXES[:0], np.zeros(0, np.float32), np.zeros(0, np.int32), ())
    assert yolo_lines(60, 90, nothing) == ""
    assert "<object>" not in voc_xml("a.jpg", 60, 90, nothing)
