import os

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.formats import open_folder
from tests.folders import outcomes, snapshot, voc_xml, write

CAT = voc_xml(("cat", 11, 6, 30, 40))
DOG = voc_xml(("dog", 1, 1, 9, 9))


def listed(folder, split="default"):
    """The images of a split: name -> its file, or why it cannot be used."""
    return outcomes(open_folder(str(folder)).images(split), folder)


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("{}.jpg", "{}.xml"),  # labelImg
        ("images/{}.jpg", "annotations/{}.xml"),
        ("images/{}.JPG", "annots/{}.XML"),
        ("JPEGImages/{}.jpg", "Annotations/{}.xml"),
        ("Images/day1/{}.png", "ANNOTATIONS/day1/{}.xml"),
        ("{}.jpg", "xml/{}.xml"),
        ("archive/set/images/{}.jpg", "archive/set/annotations/{}.xml"),
    ],
)
def test_images_and_annotations_are_paired_by_name(tmp_path, image, annotation):
    for name in "abc":
        write(tmp_path, {image.format(name): "", annotation.format(name): CAT})
    files = sorted(listed(tmp_path).values())
    assert files == [image.format(name) for name in "abc"]
    folder = open_folder(str(tmp_path))
    assert (folder.name, folder.splits(), folder.class_names()) == ("VOC XML", ("default",), ("cat",))


@pytest.mark.parametrize("layout", ["{split}/{name}", "{split}/{kind}/{name}", "{kind}/{split}/{name}"])
def test_folders_named_like_splits_are_splits(tmp_path, layout):
    for split, names in {"train": "ab", "valid": "c", "test": "d"}.items():
        for name in names:
            write(tmp_path, {layout.format(split=split, name=name, kind="images") + ".jpg": ""})
            write(tmp_path, {layout.format(split=split, name=name, kind="annotations") + ".xml": DOG})
    write(tmp_path, {"README.roboflow.txt": "x", ".idea/workspace.xml": "<project/>", "__MACOSX/a.jpg": "x"})
    assert open_folder(str(tmp_path)).splits() == ("test", "train", "valid")
    assert [list(listed(tmp_path, split)) for split in ("train", "valid", "test")] == [["a", "b"], ["c"], ["d"]]


def test_boxes_are_those_of_voc_layout(tmp_path):
    """VOC's 1-based inclusive numbers, whatever the folders are called."""
    folder = write(tmp_path / "set", {f"images/{name}.jpg": "" for name in "abc"})
    write(folder, {f"annotations/{name}.xml": CAT for name in "abc"})
    before = snapshot(folder)
    builder = prepare_devkit(devkit=str(folder), splits=("val",), data_dir=str(tmp_path / "data"))
    (box,) = open_split(builder, "val").annotations(0).boxes
    np.testing.assert_array_equal(box, [10, 5, 30, 40])
    assert "sampled_from" in (builder.data_path / "sampled_splits.json").read_text()
    assert snapshot(folder) == before


WRONG = {
    "no annotation": ({"x.jpg": ""}, "annotation missing"),
    "no image": ({"x.xml": CAT}, "image missing"),
    "two images": ({"x.jpg": "", "x.png": "", "x.xml": CAT}, "image may be any of x.jpg, x.png"),
    "two annotations": ({"x.jpg": "", "x.xml": CAT, "annotations/x.xml": DOG}, "annotation may be any of"),
    "empty": ({"x.jpg": "", "x.xml": ""}, "does not parse"),
    "truncated": ({"x.jpg": "", "x.xml": CAT[:-20]}, "does not parse"),
    "other root": ({"x.jpg": "", "x.xml": "<annotations/>"}, "not in VOC's format"),
    "html": ({"x.jpg": "", "x.xml": "<html><body/></html>"}, "not in VOC's format"),
    "entities": ({"x.jpg": "", "x.xml": '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'}, "entities"),
    "latin-1": ({"x.jpg": "", "x.xml": CAT.replace("cat", "caf\u00e9").encode("latin-1")}, "is not UTF-8"),
    "no box": ({"x.jpg": "", "x.xml": "<annotation><object><name>a</name></object></annotation>"}, "without <bndbox>"),
    "no name": ({"x.jpg": "", "x.xml": CAT.replace("<name>cat</name>", "")}, "object without <name>"),
    "NaN": ({"x.jpg": "", "x.xml": CAT.replace(">11<", ">nan<")}, "missing or unreadable number"),
    "three numbers": ({"x.jpg": "", "x.xml": CAT.replace("<xmin>11</xmin>", "")}, "missing or unreadable number"),
    "words": ({"x.jpg": "", "x.xml": CAT.replace(">11<", ">left<")}, "missing or unreadable number"),
    "video": ({"x.jpg": "", "x.xml": "<annotation><object><track/></object></annotation>"}, "without <name>"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_skipped_with_its_reason(tmp_path, case):
    files, reason = WRONG[case]
    write(tmp_path, {"good.jpg": "", "good.xml": CAT, **files})
    entries = listed(tmp_path)
    assert entries["good"] == "good.jpg"
    assert reason in entries["x"]


def test_odd_bytes_around_an_annotation_are_read(tmp_path):
    write(tmp_path, {"bom.jpg": "", "bom.xml": b"\xef\xbb\xbf" + CAT.encode()})
    write(tmp_path, {"crlf.jpg": "", "crlf.xml": CAT.replace("><", ">\r\n<")})
    write(tmp_path, {"utf16.jpg": "", "utf16.xml": ('<?xml version="1.0" encoding="utf-16"?>' + CAT).encode("utf-16")})
    assert sorted(listed(tmp_path).values()) == ["bom.jpg", "crlf.jpg", "utf16.jpg"]


def test_letter_case_may_differ_where_one_file_fits(tmp_path):
    write(tmp_path, {"Photo.JPG": "", "photo.xml": CAT, "a.jpg": "", "a.xml": CAT, "A.jpg": "", "A.xml": DOG})
    assert listed(tmp_path) == {"Photo": "Photo.JPG", "A": "A.jpg", "a": "a.jpg"}


def test_links_that_lead_around_are_followed_once(tmp_path):
    write(tmp_path, {"images/a.jpg": "", "annotations/a.xml": CAT})
    (tmp_path / "images/again").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.xml").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.xml")
    entries = listed(tmp_path)
    assert entries["a"] == "images/a.jpg"
    assert entries["loop"] == "annotation missing"
    assert entries["gone"] == entries["pipe"] == "image missing"


def test_several_data_sets_in_one_folder_are_refused(tmp_path):
    for name in ("cats", "dogs"):
        write(tmp_path, {f"{name}/images/a.jpg": "", f"{name}/annotations/a.xml": CAT})
    with pytest.raises(InputError, match="holds several data sets: cats, dogs; name the one"):
        open_folder(str(tmp_path))
    assert list(listed(tmp_path / "cats")) == ["a"]


def test_images_outside_of_the_splits_are_refused(tmp_path):
    for place in ("train", "bus", "car"):
        write(tmp_path, {f"{place}/a.jpg": "", f"{place}/a.xml": CAT})
    with pytest.raises(InputError, match="has the splits train, and 2 images outside of them .the first is bus/a"):
        open_folder(str(tmp_path))
