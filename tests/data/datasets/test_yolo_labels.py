import re

import pytest

from jaxdet.data.datasets.xml_file import Unusable
from jaxdet.data.datasets.yolo_labels import is_label, read_labels
from tests.folders import write

LABEL = "1 0.5 0.5 0.25 0.5\n"
NAMES = {0: "cat", 1: "dog"}


def read(folder, label, **options):
    """The objects, faults and remarks of a label file of an image of 60 x 80 pixels."""
    write(folder, {"a.txt": label})
    annotation = read_labels(folder / "a.txt", NAMES, **{"keypoints": False, **options})
    objects, faults = annotation.read_objects(60, 80, ("cat", "dog"))
    return [(each.name, *each.box) for each in objects], faults, annotation.remarks


FAULTS = {
    "four columns": ("1 0.5 0.5 0.5", "label with 4 columns, neither a box .5. nor a polygon"),
    "a score": ("1 0.5 0.5 0.5 0.5 0.9", "label with 6 columns"),
    "half a polygon": ("1 0.5 0.5 0.5 0.5 0.9 0.9 0.1", "label with 8 columns"),
    "unknown class": ("2 0.5 0.5 0.5 0.5", "label of class 2, which has no name"),
    "negative class": ("-1 0.5 0.5 0.5 0.5", "label of class -1, which has no name"),
    "half a class": ("0.5 0.5 0.5 0.5 0.5", "label of class 0.5, which has no name"),
    "a name": ("dog 0.5 0.5 0.5 0.5", "label with text that is no number"),
    "commas": ("1,0.5,0.5,0.5,0.5", "label with text that is no number"),
    "NaN": ("1 0.5 nan 0.5 0.5", "label with an unreadable number"),
    "infinite": ("1 0.5 0.5 inf 0.5", "label with an unreadable number"),
    "underscore": ("1 0.5 0.5 0.5 0_5", "label with an unreadable number"),
    "pixels": ("1 40 30 20 10", "label in pixels, not in fractions"),
}
OBJECT_FAULTS = {
    "negative": ("1 0.5 0.5 -0.5 0.5", "zero-area or inverted box"),
    "no area": ("1 0.5 0.5 0 0.5", "zero-area or inverted box"),
    "outside": ("1 1.5 0.5 0.5 0.5", "box outside the image"),
    "clipped": ("1 0.9 0.5 0.5 0.5", "box clipped to the image"),
}


@pytest.mark.parametrize("case", FAULTS | OBJECT_FAULTS)
def test_a_faulty_label_is_reported_and_the_others_used(tmp_path, case):
    label, reason = (FAULTS | OBJECT_FAULTS)[case]
    objects, faults, _ = read(tmp_path, f"{label}\n{LABEL}")
    assert len(faults) == 1 and re.search(reason, faults[0])
    assert objects[-1] == ("dog", 30, 15, 50, 45)
    assert len(objects) == (2 if case == "clipped" else 1)
    if case in FAULTS:
        with pytest.raises(Unusable, match=f"annotation has no readable object: {reason}"):
            read(tmp_path, label)


@pytest.mark.parametrize("label", [b"\xff\xfe1\x00", b"1 0.5 0.5 0.5 0.5 # caf\xe9"])
def test_a_label_file_of_another_encoding_is_skipped(tmp_path, label):
    with pytest.raises(Unusable, match="annotation is not UTF-8 text"):
        read(tmp_path, label)


def test_odd_bytes_around_labels_are_read(tmp_path):
    objects, faults, _ = read(tmp_path, b"\xef\xbb\xbf" + LABEL.replace("\n", "\r\n").encode() * 2 + b"\r\n  \r\n")
    assert (len(objects), faults) == (2, [])


def test_keypoints_after_the_box_are_no_polygon(tmp_path):
    objects, _, remarks = read(tmp_path, "1 0.5 0.5 0.25 0.5 0.1 0.1 0.9 0.9\n", keypoints=True)
    assert (objects, remarks) == ([("dog", 30, 15, 50, 45)], ())


def test_polygons_become_their_bounding_boxes(tmp_path):
    objects, faults, remarks = read(tmp_path, "0 .1 .2 .3 .2 .2 .7\n")
    assert objects == [("cat", pytest.approx(8), pytest.approx(12), pytest.approx(24), pytest.approx(42))]
    assert (faults, remarks) == ([], ("have polygons, read as their bounding boxes",))


def test_texts_are_told_from_labels(tmp_path):
    write(tmp_path, {"label.txt": LABEL, "text.txt": "a grey cat", "empty.txt": "", "bytes.txt": b"\xff\xfe"})
    assert [is_label(tmp_path / f"{name}.txt") for name in ("label", "text", "empty", "bytes", "gone")] == [True] + [
        False
    ] * 4
