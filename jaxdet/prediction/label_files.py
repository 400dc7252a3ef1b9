"""Detections of one image as annotations: PASCAL VOC's XML and YOLO's text."""

import re
from xml.etree import ElementTree

import numpy as np

from jaxdet.types import ImageDetections

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def voc_xml(file_name: str, height: int, width: int, detections: ImageDetections) -> str:
    """Return the XML file of an image in VOC's format: boxes of whole pixels, the first of which is 1.

    Characters that XML does not allow become question marks.
    """
    root = ElementTree.Element("annotation")
    _add(root, "filename", file_name)
    size = ElementTree.SubElement(root, "size")
    for name, value in {"width": width, "height": height, "depth": 3}.items():
        _add(size, name, value)
    for class_name, (x1, y1, x2, y2) in zip(detections.class_names, detections.boxes, strict=True):
        left, top = (min(max(round(float(x)), 0), side - 1) for x, side in ((x1, width), (y1, height)))
        right, bottom = (round(float(x)) for x in (x2, y2))
        item = ElementTree.SubElement(root, "object")
        for name, text in {"name": class_name, "pose": "Unspecified", "truncated": "0", "difficult": "0"}.items():
            _add(item, name, text)
        box = ElementTree.SubElement(item, "bndbox")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": max(right, left + 1), "ymax": max(bottom, top + 1)}
        for name, value in corners.items():
            _add(box, name, value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def yolo_lines(height: int, width: int, detections: ImageDetections) -> str:
    """Return a line per detection: class number from 0, centre x and y, width and height as parts of the sides."""
    sides = np.array([width, height, width, height])
    lines = []
    for label, box in zip(detections.labels.tolist(), detections.boxes.astype(np.float64) / sides, strict=True):
        parts = [*(box[:2] + box[2:]) / 2, *(box[2:] - box[:2])]
        lines.append(" ".join([str(label - 1), *(f"{part:.6f}" for part in parts)]) + "\n")
    return "".join(lines)


def _add(parent: ElementTree.Element, name: str, value: str | int) -> None:
    ElementTree.SubElement(parent, name).text = NOT_IN_XML.sub("?", str(value))
