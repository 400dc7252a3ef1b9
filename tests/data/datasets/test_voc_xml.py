import pytest

from jaxdet.data.datasets.voc_xml import Unusable, annotated_size, object_names, read_objects, read_xml

HEIGHT, WIDTH = 60, 80


def objects_of(devkit, *objects, class_names=("cat", "dog")):
    return read_objects(read_xml(devkit.annotation("a", *objects)), HEIGHT, WIDTH, class_names)


def test_boxes_become_continuous(devkit):
    (thing,), remarks = objects_of(devkit, ("cat", 1, 1, 80, 60))
    assert thing.box == (0, 0, 80, 60)
    assert not remarks
    (thing,), _ = objects_of(devkit, ("dog", 5, 6, 20.5, 30))
    assert thing.box == (4, 5, 20.5, 30)


def test_flags_and_pose(devkit):
    (plain,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9))
    assert (plain.difficult, plain.truncated, plain.pose) == (False, False, "unspecified")
    more = {"difficult": 1, "truncated": 1, "pose": "Frontal"}
    (flagged,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9, more))
    assert (flagged.difficult, flagged.truncated, flagged.pose) == (True, True, "frontal")
    (odd,), _ = objects_of(devkit, ("cat", 1, 1, 9, 9, {"pose": "upside down", "difficult": "Unspecified"}))
    assert (odd.difficult, odd.pose) == (False, "unspecified")


@pytest.mark.parametrize(
    ("box", "remark"),
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
def test_unusable_boxes_are_left_out_with_a_remark(devkit, box, remark):
    things, remarks = objects_of(devkit, ("cat", *box), ("dog", 1, 1, 9, 9))
    assert [thing.name for thing in things] == ["dog"]
    assert remarks == [remark]


def test_boxes_partly_outside_are_clipped(devkit):
    (thing,), remarks = objects_of(devkit, ("cat", -5, 0, 90, 30))
    assert thing.box == (0, 0, 80, 30)
    assert remarks == ["box clipped to the image"]


def test_unknown_class_is_named(devkit):
    things, remarks = objects_of(devkit, ("dgo", 1, 1, 9, 9))
    assert not things
    assert remarks == ["object of unknown class 'dgo'"]


def test_object_without_box(devkit):
    file = devkit.folder / "Annotations" / "a.xml"
    file.write_text("<annotation><object><name>cat</name></object></annotation>")
    assert read_objects(read_xml(file), HEIGHT, WIDTH, ("cat",)) == ([], ["object without <bndbox>"])


def test_parts_are_no_objects(devkit):
    part = "<name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    root = read_xml(devkit.annotation("a", ("person", 1, 1, 9, 9, {"part": part})))
    assert object_names(root) == ["person"]
    assert len(read_objects(root, HEIGHT, WIDTH, ("person", "head"))[0]) == 1


@pytest.mark.parametrize(("size", "read"), [((60, 80), (60, 80)), (None, None), ((0, 0), None), (("x", 80), None)])
def test_annotated_size(devkit, size, read):
    assert annotated_size(read_xml(devkit.annotation("a", size=size))) == read


@pytest.mark.parametrize("text", ["", "<annotation>", "<a></b>", "\x00", '<?xml version="1.0" encoding="nope"?><a/>'])
def test_broken_xml(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(Unusable, match="does not parse"):
        read_xml(tmp_path / "a.xml")


def test_entities_are_refused(tmp_path):
    (tmp_path / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "cat">]><annotation>&b;</annotation>')
    with pytest.raises(Unusable, match="entities"):
        read_xml(tmp_path / "a.xml")
