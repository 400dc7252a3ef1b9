import pytest

from jaxdet.data.datasets.voc_xml import Unusable, annotated_size, object_names, read_objects, read_xml

HEIGHT, WIDTH = 60, 80


def objects_of(devkit, *objects, class_names=("cat", "dog")):
    return read_objects(read_xml(devkit.annotation("a", *objects)), HEIGHT, WIDTH, class_names)


def test_boxes_become_continuous(devkit):
    (cat,), faults = objects_of(devkit, ("cat", 1, 1, 80, 60))
    assert cat.box == (0, 0, 80, 60)
    assert not faults
    (cat,), _ = objects_of(devkit, ("dog", 5, 6, 20.5, 30))
    assert cat.box == (4, 5, 20.5, 30)


def test_flags_and_pose(devkit):
    (plain,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9))
    assert (plain.difficult, plain.truncated, plain.pose) == (False, False, "unspecified")
    more = {"difficult": 1, "truncated": 1, "pose": "Frontal"}
    (flagged,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9, more))
    assert (flagged.difficult, flagged.truncated, flagged.pose) == (True, True, "frontal")
    (odd,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9, {"pose": "upside down", "difficult": "Unspecified"}))
    assert (odd.difficult, odd.pose) == (False, "unspecified")


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((5, 5, 5, 9), "zero-area or inverted box"),
        ((5, 5, 9, 5), "zero-area or inverted box"),
        ((9, 5, 5, 9), "zero-area or inverted box"),
        ((81, 5, 90, 9), "box outside the image"),
        ((-20, 5, 0, 9), "box outside the image"),
        ((5, 61, 9, 70), "box outside the image"),
        ((5, "x", 9, 9), "box with a missing or unreadable number"),
        ((5, 5, "nan", 9), "box with a missing or unreadable number"),
        ((5, 5, "inf", 9), "box with a missing or unreadable number"),
    ],
)
def test_unusable_boxes_are_dropped_and_reported(devkit, box, fault):
    objects, faults = objects_of(devkit, ("cat", *box), ("dog", 1, 1, 9, 9))
    assert [each.name for each in objects] == ["dog"]
    assert faults == [fault]


def test_boxes_partly_outside_the_image_are_clipped(devkit):
    (cat,), faults = objects_of(devkit, ("cat", -5, 0, 90, 30))
    assert cat.box == (0, 0, 80, 30)
    assert faults == ["box clipped to the image"]


def test_an_unknown_class_is_reported(devkit):
    objects, faults = objects_of(devkit, ("dgo", 1, 1, 9, 9))
    assert not objects
    assert faults == ["object of unknown class 'dgo'"]


def test_an_object_without_box_is_reported(devkit):
    file = devkit.folder / "Annotations" / "a.xml"
    file.write_text("<annotation><object><name>cat</name></object></annotation>")
    assert read_objects(read_xml(file), HEIGHT, WIDTH, ("cat",)) == ([], ["object without <bndbox>"])


def test_parts_are_not_objects(devkit):
    part = "<name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    root = read_xml(devkit.annotation("a", ("person", 1, 1, 9, 9, {"part": part})))
    assert object_names(root) == ["person"]
    assert len(read_objects(root, HEIGHT, WIDTH, ("person", "head"))[0]) == 1


@pytest.mark.parametrize(("size", "read"), [((60, 80), (60, 80)), (None, None), ((0, 0), None), (("x", 80), None)])
def test_annotated_size(devkit, size, read):
    assert annotated_size(read_xml(devkit.annotation("a", size=size))) == read


@pytest.mark.parametrize("text", ["", "<annotation>", "<a></b>", "\x00", '<?xml version="1.0" encoding="nope"?><a/>'])
def test_broken_xml_is_unusable(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(Unusable, match="does not parse"):
        read_xml(tmp_path / "a.xml")


def test_entities_are_refused(tmp_path):
    (tmp_path / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "cat">]><annotation>&b;</annotation>')
    with pytest.raises(Unusable, match="entities"):
        read_xml(tmp_path / "a.xml")
