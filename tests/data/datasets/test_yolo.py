import json

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.folder_format import fingerprint
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder
from tests.folders import outcomes, snapshot, voc_xml, write

YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"
LABEL = "1 0.5 0.5 0.25 0.5\n"


def found(folder, split="train"):
    """The images of a split: name -> its file, or why it cannot be used."""
    return outcomes(choose_images(open_folder(str(folder)), split).images, folder)


@pytest.mark.parametrize(
    ("yaml", "image", "label"),
    [
        ("train: images/train\nval: images/val", "images/{}/a.jpg", "labels/{}/a.txt"),
        ("path: .\ntrain: train/images\nval: val/images", "{}/images/a.jpg", "{}/labels/a.txt"),
        ("train: ../train/images\nval: ../val/images", "{}/images/a.jpg", "{}/labels/a.txt"),  # Roboflow
        ("path: ../datasets/coco8\ntrain: images/train\nval: images/val", "images/{}/a.jpg", "labels/{}/a.txt"),
        ("train: /content/set/images/train\nval: [images/val]", "images/{}/a.jpg", "labels/{}/a.txt"),
        ("train: train.txt\nval: val.txt", "images/{}/a.jpg", "labels/{}/a.txt"),
        ("train: train\nvalid: val", "{}/a.jpg", "{}/a.txt"),
        ("nc: 2", "images/{}/a.jpg", "labels/{}/a.txt"),  # the folders' names say it
    ],
)
def test_splits_of_a_data_yaml_are_found(tmp_path, yaml, image, label):
    write(tmp_path, {"data.yaml": f"{yaml}\nnames: {{1: dog, 0: cat}}\n"})
    for split in ("train", "val"):
        write(tmp_path, {image.format(split): "", label.format(split): LABEL})
        if ".txt" in yaml:
            write(tmp_path, {f"{split}.txt": f"./images/{split}/a.jpg\r\n"})
    for split in ("train", "val"):
        assert found(tmp_path, split) == {"a": image.format(split)}
        assert all(each.is_annotated() for each in choose_images(open_folder(str(tmp_path)), split).images)
    folder = open_folder(str(tmp_path / "data.yaml"))
    assert (folder.name, folder.class_names()) == ("YOLO", ("cat", "dog"))


@pytest.mark.parametrize(
    ("classes", "image", "label"),
    [
        ("classes.txt", "{}.jpg", "{}.txt"),  # labelImg
        ("classes.txt", "images/{}.jpg", "labels/{}.txt"),  # Label Studio
        ("labels/classes.txt", "images/{}.jpg", "labels/{}.txt"),
        ("obj.names", "obj_train_data/{}.jpg", "obj_train_data/{}.txt"),  # CVAT
    ],
)
def test_classes_txt_names_the_classes_without_a_data_yaml(tmp_path, classes, image, label):
    write(tmp_path, {classes: "cat\r\ndog\n\n", "notes.json": '{"categories": [], "info": {}}'})
    for name in "abc":
        write(tmp_path, {image.format(name): "", label.format(name): LABEL})
    assert sorted(found(tmp_path, "default").values()) == [image.format(name) for name in "abc"]
    assert open_folder(str(tmp_path)).class_names() == ("cat", "dog")


def test_boxes_are_exact_and_images_without_labels_are_background(tmp_path, caplog):
    caplog.set_level("INFO")
    folder = write(tmp_path / "set", {"data.yaml": YAML, **{f"images/train/{name}.jpg": "" for name in "abcd"}})
    write(folder, {"labels/train/a.txt": "1 0.30000001 0.5 0.2 0.1\n0 .1 .2 .3 .2 .3 .7 .1 .9\n"})
    write(folder, {"labels/train/b.txt": "\n", "labels/train/d.TXT": LABEL})
    before = snapshot(folder)
    builder = prepare_devkit(devkit=str(folder), splits=("train",), data_dir=str(tmp_path / "data"))
    train = open_split(builder, "train")
    x1, x2 = 80 * (0.30000001 - 0.1), 80 * (0.30000001 + 0.1)
    want = np.array([[x1, 60 * 0.45, x2, 60 * 0.55], [8, 12, 24, 54]])
    np.testing.assert_allclose(train.annotations(0).boxes, want, rtol=1e-7)
    assert train.object_counts.tolist() == [2, 0, 0, 1]
    assert "Reading YOLO: 4 train images, 2 classes (cat, dog)" in caplog.text
    assert "train: 1 images have polygons, read as their bounding boxes: a" in caplog.text
    assert "train: 1 images have an empty label file: background: b" in caplog.text
    assert "train: 1 images have no label file: background: c" in caplog.text
    assert json.loads((builder.data_path / "skipped.json").read_text())["train"] == {"images": {}, "objects": {}}
    assert snapshot(folder) == before


WRONG_PATHS = {
    "train missing": ("names: [cat]\ntrain: nowhere\nval: images/train\n", "got 'nowhere', which is not in"),
    "train long": (f"names: [cat]\ntrain: {'x' * 5000}\nval: images/train\n", "train of .* must be a folder or a list"),
    "train without images": ("names: [cat]\ntrain: empty\nval: images/train\n", "has no image in .*empty"),
    "list of an image": ("names: [cat]\ntrain: images/train/a.jpg\nval: images/train\n", "must be UTF-8 text"),
}


@pytest.mark.parametrize("case", WRONG_PATHS)
def test_a_path_without_images_is_refused(tmp_path, case):
    content, reason = WRONG_PATHS[case]
    write(tmp_path, {"images/train/a.jpg": "", "empty/x.md": "", "data.yaml": content})
    with pytest.raises(InputError, match=reason):
        found(tmp_path)


def test_labels_without_an_image_or_in_doubt_are_skipped(tmp_path):
    write(tmp_path, {"data.yaml": YAML, "images/train/a.jpg": "", "labels/train/a.txt": LABEL})
    write(tmp_path, {"labels/train/b.txt": LABEL, "labels/train/notes.txt": "from Monday"})
    write(tmp_path, {"images/train/C.jpg": "", "labels/train/c.txt": LABEL, "labels/train/c.TXT": LABEL})
    assert found(tmp_path) == {
        "a": "images/train/a.jpg",
        "C": "annotation may be any of c.TXT, c.txt: use the image's letter case",
        "labels/train/b.txt": "image missing",
    }


def test_a_list_may_name_images_that_are_missing(tmp_path):
    write(tmp_path, {"data.yaml": "train: list.txt\nval: list.txt\nnames: [cat]\n", "images/a.jpg": ""})
    write(tmp_path, {"list.txt": "images/a.jpg\n/content/set/images/a.jpg\nimages/gone.jpg\n\n"})
    images = choose_images(open_folder(str(tmp_path)), "train").images
    assert [image.listed for image in images] == ["a", "gone"]  # the same image once


def test_links_that_lead_around_are_followed_once(tmp_path):
    write(tmp_path, {"data.yaml": YAML, "images/train/a.jpg": "", "labels/train/a.txt": LABEL})
    (tmp_path / "images/train/again").symlink_to(tmp_path / "images")
    (tmp_path / "images/val").symlink_to(tmp_path / "images/val")
    assert found(tmp_path) == {"a": "images/train/a.jpg"}
    with pytest.raises(InputError, match="val of .* must be a folder or a list of images"):
        found(tmp_path, "val")


def test_labels_without_class_names_and_other_formats_beside_them_are_refused(tmp_path):
    write(tmp_path, {"a.jpg": "", "a.txt": LABEL})
    with pytest.raises(InputError, match="label files in YOLO's format but no data.yaml or classes.txt"):
        open_folder(str(tmp_path))
    write(tmp_path, {"classes.txt": "cat\ndog", "x.json": '{"images": [], "annotations": [], "categories": []}'})
    with pytest.raises(InputError, match=r"in 2 formats: COCO JSON .x.json. and YOLO .classes.txt.; name the one"):
        open_folder(str(tmp_path))
    assert open_folder(str(tmp_path / "classes.txt")).name == "YOLO"
    assert open_folder(str(tmp_path / "x.json")).name == "COCO JSON"


def test_class_names_beside_other_annotations_are_no_second_format(tmp_path):
    write(tmp_path, {"a.jpg": "", "a.xml": voc_xml(("cat", 1, 1, 9, 9)), "classes.txt": "cat", "a.txt": "a grey cat"})
    assert open_folder(str(tmp_path)).name == "VOC XML"
    write(tmp_path, {"a.txt": LABEL})
    with pytest.raises(InputError, match="VOC's XML and YOLO .classes.txt."):
        open_folder(str(tmp_path))


def test_images_elsewhere_are_named_from_their_split_and_seen_when_they_change(tmp_path):
    write(tmp_path, {"set/data.yaml": "train: ../far/images/train\nval: ../far/images/val\nnames: [cat, dog]\n"})
    write(
        tmp_path, {"far/images/train/day1/a.jpg": "", "far/labels/train/day1/a.txt": LABEL, "far/images/val/b.jpg": ""}
    )
    folder = open_folder(str(tmp_path / "set"))
    assert [image.find() for image in folder.images("train")] == [("day1/a", tmp_path / "far/images/train/day1/a.jpg")]
    assert folder.images("train")[0].is_annotated()
    assert {str(tmp_path / f"far/{file}") for file in ("labels/train/day1/a.txt", "images/val/b.jpg")} <= {
        *folder.files()
    }


def test_images_elsewhere_that_a_list_names_are_seen_when_they_change(tmp_path):
    write(tmp_path, {"set/data.yaml": "train: a.txt\nval: b.txt\nnames: [cat, dog]\n", "set/b.txt": b"\xff no text"})
    write(tmp_path, {"far/images/a.jpg": "", "far/labels/A.txt": LABEL})
    write(tmp_path, {"set/a.txt": f"{tmp_path}/far/images/a.jpg\n\0\n"})
    folder = open_folder(str(tmp_path / "set"))
    before = fingerprint(folder.folder, folder.files())
    write(tmp_path, {"far/labels/A.txt": LABEL * 2})
    assert fingerprint(folder.folder, folder.files()) != before
