import pytest

from jaxdet.data.datasets import voc_xml
from jaxdet.data.datasets.voc_xml import annotated_size, object_names, read_objects, read_xml
from jaxdet.data.datasets.xml_file import Unusable

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


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<name>cat</name>", "object without <bndbox>"),
        ("<Name>cat</Name><bndbox><xmin>1</xmin></bndbox>", "object without <name>"),
        ("<name>cat</name><bndbox><x1>1</x1><x2>5</x2></bndbox>", "box with a missing or unreadable number"),
    ],
)
def test_an_annotation_of_unreadable_objects_is_not_read_as_empty(body, fault):
    with pytest.raises(Unusable, match=f"annotation has no readable object: {fault}"):
        objects_in(f"<object>{body}</object>" * 2)


def test_parts_are_not_objects(devkit):
    part = "<name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    root = read_xml(devkit.annotation("a", ("person", 1, 1, 9, 9, {"part": part})))
    assert object_names(root) == ["person"]
    assert len(read_objects(root, HEIGHT, WIDTH, ("person", "head"))[0]) == 1


@pytest.mark.parametrize(("size", "read"), [((60, 80), (60, 80)), (None, None), ((0, 0), None), (("x", 80), None)])
def test_annotated_size(devkit, size, read):
    assert annotated_size(read_xml(devkit.annotation("a", ("cat", 1, 1, 9, 9), size=size))) == read


def objects_in(body, class_names=("cat", "dog")):
    return read_objects(read_xml(f"<annotation>{body}</annotation>".encode()), HEIGHT, WIDTH, class_names)


def box(x1, y1, x2, y2):
    return f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"


def test_class_names_are_normalised():
    body = f"<object><name>traffic\n\t  light&#160;</name>{box(1, 1, 9, 9)}</object>"
    (light,), faults = objects_in(body, ("traffic light",))
    assert (light.name, faults) == ("traffic light", [])
    assert object_names(read_xml(f"<annotation>{body}</annotation>".encode())) == ["traffic light"]


def test_every_box_of_an_object_is_an_object():
    objects, faults = objects_in(
        f"<object><name>cat</name>{box(1, 1, 9, 9)}{box(5, 5, 5, 9)}{box(2, 2, 9, 9)}</object>"
    )
    assert [each.box for each in objects] == [(0, 0, 9, 9), (1, 1, 9, 9)]
    assert faults == ["zero-area or inverted box"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<name>cat</name><name>dog</name>" + box(1, 1, 9, 9), "object with more than one <name>"),
        ("<name>cat<b>dog</b></name>" + box(1, 1, 9, 9), "object with elements inside its <name>"),
        ("<name> \n </name>" + box(1, 1, 9, 9), "object without <name>"),
        ("<Name>cat</Name>" + box(1, 1, 9, 9), "object without <name>"),
        ("<name>cat&#x202e;</name>" + box(1, 1, 9, 9), r"object whose class name has the control character '\u202e'"),
        (f"<name>{'x' * 101}</name>" + box(1, 1, 9, 9), "object whose class name has 101 characters, more than 100"),
        ("<name>cat</name><polygon><x1>1</x1><y1>1</y1></polygon>", "object without <bndbox>, with <polygon>"),
        ("<name>cat</name><BndBox/>", "object without <bndbox>, with <bndbox>"),
        (f"<name>cat</name>{box(1, 1, 9, 9)}<object><name>dog</name></object>", "object inside another <object>"),
        ("<name>cat</name>" + box(1, 1, "1_0", 9), "box with a missing or unreadable number"),
        ("<name>cat</name>" + box(1, 1, "9</xmax><xmax>8", 9), "box with a missing or unreadable number"),
    ],
)
def test_objects_that_cannot_be_understood_are_reported(body, fault):
    objects, faults = objects_in(f"<object>{body}</object><object><name>dog</name>{box(1, 1, 9, 9)}</object>")
    assert [each.name for each in objects] == ["dog"]
    assert faults == [fault]


@pytest.mark.parametrize("text", ["1", " 1 ", "true", "True", "YES"])
def test_flags_may_be_written_in_words(text):
    (cat,), faults = objects_in(f"<object><name>cat</name><difficult>{text}</difficult>{box(1, 1, 9, 9)}</object>")
    assert (cat.difficult, faults) == (True, [])


def test_an_unreadable_flag_is_reported():
    (cat,), faults = objects_in(f"<object><name>cat</name><difficult>2</difficult>{box(1, 1, 9, 9)}</object>")
    assert (cat.difficult, faults) == (False, ["object with <difficult> '2', taken as 0"])


OBJECT = f"<object><name>cat</name>{box(1, 1, 9, 9)}</object>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'<annotation xmlns="http://example.com/voc">{OBJECT}</annotation>', "its root is <{http://example.com/voc}a"),
        (f"<Annotation>{OBJECT}</Annotation>", "its root is <Annotation>"),
        ('<annotations><image id="0"><box label="cat"/></image></annotations>', "its root is <annotations>"),
        (f"<annotation><size/><objects>{OBJECT}</objects></annotation>", "<objects> is not an <object> of the root"),
        (f"<annotation><a>{OBJECT}</a>{OBJECT}</annotation>", "<object> is not an <object> of the root"),
        ("<annotation><size/><Object><name>cat</name></Object></annotation>", "<Object> is not an <object>"),
        (f'<annotation xmlns:v="u"><size/><v:object>{box(1, 1, 9, 9)}</v:object></annotation>', "<{u}object> is not"),
        ('<annotation><size/><box label="cat" xtl="1"/></annotation>', "<box> is not an <object>"),
        ("<annotation><size/><box>1,1,9,9</box></annotation>", "<box> is not an <object>"),
        (f"<annotation><size/><cat>{box(1, 1, 9, 9)}</cat></annotation>", "<bndbox> is not an <object>"),
        ("<annotation><size/><cats><cat><x>1</x></cat></cats></annotation>", "unknown element <cats>, and no <object>"),
        ("<annotation/>", "it has no <object>, <filename> or <size>"),
        ("<html><body/></html>", "its root is <html>"),
    ],
)
def test_annotations_of_another_format_are_not_read_as_empty(text, reason):
    with pytest.raises(Unusable, match="annotation is not in VOC's format") as error:
        read_xml(text.encode())
    assert reason in str(error.value)


def test_a_voc_file_without_objects_is_an_empty_image():
    source = "<source><database>x</database><annotation>PASCAL VOC2007</annotation><image>flickr</image></source>"
    for more in ("", "<owner><name>x</name></owner>", "<verified>1</verified>", "<label>night</label>"):
        text = f"<annotation verified='yes'><filename>a.jpg</filename>{source}<size><width>80</width></size>{more}"
        assert read_objects(read_xml(f"{text}</annotation>".encode()), HEIGHT, WIDTH, ("cat",)) == ([], [])


def test_too_many_objects_are_refused(monkeypatch):
    monkeypatch.setattr(voc_xml, "MAX_OBJECTS", 2)
    assert len(objects_in(OBJECT * 2)[0]) == 2
    for body in (OBJECT * 3, f"<object><name>cat</name>{box(1, 1, 9, 9) * 3}</object>"):
        with pytest.raises(Unusable, match="annotation has 3 objects, more than 2"):
            objects_in(body)
