import json
import os

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import coco_file
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder
from tests.folders import coco_json, outcomes, snapshot, voc_xml, write

A = {"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}
B = {"id": 2, "file_name": "b.jpg", "width": 80, "height": 60}
BOX = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10.5, 5.25, 20, 30.125]}
GOOD = coco_json([A, B], [BOX])


def found(folder, split="default"):
    """The images of a split: name -> its file, or why it cannot be used."""
    return outcomes(choose_images(open_folder(str(folder)), split).images, folder)


@pytest.mark.parametrize(
    ("json_file", "image"),
    [
        ("annotations.json", "{}"),
        ("result.json", "images/{}"),
        ("annotations/all.json", "images/{}"),
        ("annotations/instances_default.json", "images/{}"),
        ("archive/labels.json", "archive/data/{}"),
    ],
)
def test_one_file_for_a_folder_of_images(tmp_path, json_file, image):
    write(tmp_path, {json_file: GOOD, image.format("a.jpg"): "", image.format("b.jpg"): ""})
    assert found(tmp_path) == {"a": image.format("a.jpg"), "b": image.format("b.jpg")}
    folder = open_folder(str(tmp_path))
    assert (folder.name, folder.splits(), folder.class_names()) == ("COCO JSON", ("default",), ("cat", "dog"))


@pytest.mark.parametrize(
    ("json_file", "image"),
    [
        ("annotations/instances_{}2017.json", "{}2017/a.jpg"),
        ("annotations/instances_{}2017.json", "images/{}2017/a.jpg"),
        ("annotations/{}.json", "{}/a.jpg"),
        ("{}/_annotations.coco.json", "{}/a.jpg"),  # Roboflow
    ],
)
def test_each_split_has_its_file_and_images(tmp_path, json_file, image):
    for split in ("train", "valid", "test"):
        write(tmp_path, {json_file.format(split): coco_json([A], [BOX]), image.format(split): ""})
    for part, split in (("train", "train"), ("val", "valid"), ("test", "test")):
        assert found(tmp_path, part) == {"a": image.format(split)}


def test_captions_and_keypoints_are_no_rivals_of_instances(tmp_path):
    names = ("captions_train2017", "instances_train2017", "person_keypoints_train2017", "instances_val2017")
    write(tmp_path, {f"annotations/{name}.json": GOOD for name in names})
    assert open_folder(str(tmp_path)).splits() == ("train2017", "val2017")


def test_boxes_are_exact_and_crowds_are_difficult(tmp_path):
    boxes = [[0.1, 0.2, 79.9, 59.8], [10 / 3, 1e-3, 0.004, 0.004], [-0.4, 0, 80.9, 60]]
    annotations = [{**BOX, "bbox": box, "iscrowd": i % 2, "segmentation": {}} for i, box in enumerate(boxes)]
    folder = write(tmp_path / "set", {"a.jpg": "", "b.jpg": "", "l.json": coco_json([A, B], annotations)})
    before = snapshot(folder)
    builder = prepare_devkit(devkit=str(folder), splits=("default",), data_dir=str(tmp_path / "data"))
    dataset = open_split(builder, "default")
    want = np.array([[0.1, 0.2, 80, 60], [10 / 3, 1e-3, 10 / 3 + 0.004, 0.005], [0, 0, 80, 60]]).astype(np.float32)
    annotation = dataset.annotations(0)
    np.testing.assert_array_equal(annotation.boxes, want)
    assert annotation.difficult.tolist() == [False, True, False] and annotation.labels.tolist() == [2, 2, 2]
    assert dataset.object_counts.tolist() == [2, 0] and dataset[1].boxes.shape == (0, 4)
    assert json.loads((builder.data_path / "skipped.json").read_text())["default"] == {"images": {}, "objects": {}}
    assert snapshot(folder) == before


def test_classes_are_in_the_order_of_ids_without_groups(tmp_path, caplog):
    categories = [
        {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 2, "name": " dog ", "supercategory": "pets"},
        {"id": 13, "name": "cat", "supercategory": "pets"},
        {"id": 1, "name": "person", "supercategory": "person"},
    ]
    caplog.set_level("INFO")
    write(tmp_path, {"a.jpg": "", "l.json": coco_json([A], [{**BOX, "category_id": 2}], categories)})
    assert open_folder(str(tmp_path)).class_names() == ("person", "dog", "cat", "toothbrush")
    assert "left out as classes, because they only group others: pets" in caplog.text
    (image,) = open_folder(str(tmp_path)).images("default")
    (only,), faults = image.annotation().read_objects(60, 80, ("dog",))
    assert (only.name, faults) == ("dog", [])


def test_other_encodings_of_unicode_and_line_ends_are_read(tmp_path):
    for i, content in enumerate((b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode("utf-16"), GOOD.replace(",", ",\r\n"))):
        folder = write(tmp_path / str(i), {"a.jpg": "", "b.jpg": "", "l.json": content})
        assert len(found(folder)) == 2


def test_file_names_may_have_folders_that_are_elsewhere(tmp_path):
    names = {
        "/content/set/a.jpg": "images/a.jpg",
        "..\\images\\b.jpg": "images/b.jpg",
        "./IMAGES/C.JPG": "images/c.jpg",
    }
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    write(tmp_path, {"annotations/l.json": coco_json(images, []), **dict.fromkeys(names.values(), "")})
    assert sorted(found(tmp_path).values()) == sorted(names.values())
    write(tmp_path, {"other/a.jpg": ""})
    assert "image may be any of images/a.jpg, other/a.jpg" in str(found(tmp_path))


def test_a_file_that_is_too_large_or_no_file_is_refused(tmp_path, monkeypatch):
    write(tmp_path, {"a.jpg": "", "l.json": GOOD})
    monkeypatch.setattr(coco_file, "MAX_BYTES", 50)
    with pytest.raises(InputError, match=r"l\.json must be .* more than 50"):
        found(tmp_path)
    (tmp_path / "l.json").unlink()
    os.mkfifo(tmp_path / "l.json")
    with pytest.raises(InputError, match="no data set in a known format"):
        found(tmp_path)


def test_a_file_without_annotations_has_images_to_detect_on(tmp_path):
    write(tmp_path, {"a.jpg": "", "image_info_test2017.json": coco_json([A], None)})
    (image,) = open_folder(str(tmp_path)).images("test2017")
    assert not image.is_annotated()


def test_several_files_are_refused_until_one_is_named(tmp_path):
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "x.json": GOOD, "y.json": GOOD, "package.json": '{"name": "x"}'})
    with pytest.raises(InputError, match=r"may be any of x.json, y.json; .*--config.dataset.devkit=.*/x.json"):
        open_folder(str(tmp_path))
    assert open_folder(str(tmp_path / "y.json")).folder == tmp_path
    write(
        tmp_path / "c",
        {"images/a.jpg": "", "Annotations/x.json": GOOD, "Annotations/a.xml": voc_xml(("cat", 1, 1, 9, 9))},
    )
    with pytest.raises(InputError, match=r"in 2 formats: VOC's XML and COCO JSON .Annotations/x.json.; name the one"):
        open_folder(str(tmp_path / "c"))
    assert open_folder(str(tmp_path / "c/Annotations")).name == "VOC XML"
    assert open_folder(str(tmp_path / "c/Annotations/x.json")).name == "COCO JSON"


@pytest.mark.parametrize("name", ["c.jpg", "../../etc/c.jpg", "/c.jpg", "x" * 5000 + ".jpg"])
def test_an_image_that_is_missing_is_skipped(tmp_path, name):
    write(tmp_path, {"a.jpg": "", "l.json": coco_json([A, {"id": 2, "file_name": name}], [BOX])})
    assert found(tmp_path) == {"a": "a.jpg", name: "image missing"}


def test_a_file_without_images_is_refused(tmp_path):
    write(tmp_path, {"l.json": coco_json([], [])})
    with pytest.raises(InputError, match="l.json lists no image; export it with its images"):
        open_folder(str(tmp_path)).images("default")
