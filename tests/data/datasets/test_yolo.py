import json
import re

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import open_folder
from jaxdet.data.datasets.xml_file import Unusable
from tests.folders import snapshot, write

YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"
LABEL = "1 0.5 0.5 0.25 0.5\n"


def found(folder, split="train"):
    """The images of a split: name -> its file, or why it cannot be used."""
    entries = {}
    for image in choose_images(open_folder(str(folder)), split).images:
        try:
            name, file = image.find()
            image.annotation()
            entries[name] = str(file.relative_to(folder))
        except Unusable as fault:
            entries[image.listed] = str(fault)
    return entries


def read(folder, label):
    """The objects, faults and remarks of an image with this label file."""
    write(folder, {"data.yaml": YAML, "images/train/a.jpg": "", "labels/train/a.txt": label})
    (image,) = open_folder(str(folder)).images("train")
    annotation = image.annotation()
    objects, faults = annotation.read_objects(60, 80, ("cat", "dog"))
    return [(each.name, *each.box) for each in objects], faults, annotation.remarks


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


REFUSED = {
    "a list": ("- cat\n- dog\n", "it has no names"),
    "empty": ("", "it has no names"),
    "python": ("names: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "broken": ("names: [cat\n", "must name the classes"),
    "control characters": (b"names: [a\x00]\n", "must name the classes"),
    "latin-1": ("names: [caf\u00e9]\n".encode("latin-1"), "must name the classes"),
    "nested": ("names: " + "[" * 600 + "\n", "must name the classes"),
    "a date": ("names: [2020-99-99]\n", "must name the classes"),
    "no names": ("train: images/train\n", "its names are no list of class names"),
    "a text": ("names: cat, dog\n", "its names are no list of class names"),
    "a Norwegian": ("names: [se, no]\n", "the name of class 1 is no text; put it in quotes"),
    "a list of lists": ("names: [[cat]]\n", "the name of class 0 is no text"),
    "indices": ("names: {cat: 0}\n", "an index that is no whole number"),
    "empty name": ("names: [cat, '']\n", "the name of class 1 is empty"),
    "train a number": ("names: [cat]\ntrain: 3\n", "its train is no path and no list of paths"),
    "train a mapping": ("names: [cat]\ntrain: {a: b}\n", "its train is no path and no list of paths"),
    "path a list": ("names: [cat]\npath: [a]\n", "its path is no text"),
    "train missing": ("names: [cat]\ntrain: nowhere\nval: images/train\n", "got 'nowhere', which is not in"),
    "train long": (f"names: [cat]\ntrain: {'x' * 5000}\nval: images/train\n", "train of .* must be a folder or a list"),
    "train without images": ("names: [cat]\ntrain: empty\nval: images/train\n", "has no image in .*empty"),
    "list of an image": ("names: [cat]\ntrain: images/train/a.jpg\nval: images/train\n", "must be UTF-8 text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_data_yaml_is_refused_with_its_reason(tmp_path, case):
    content, reason = REFUSED[case]
    write(tmp_path, {"images/train/a.jpg": "", "empty/x.md": "", "data.yaml": content})
    with pytest.raises(InputError, match=reason) as error:
        found(tmp_path)
    assert "data.yaml" in str(error.value) or "a.jpg" in str(error.value)


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


def test_keypoints_after_the_box_are_no_polygon(tmp_path):
    write(tmp_path, {"data.yaml": YAML + "kpt_shape: [2, 2]\n", "images/train/a.jpg": ""})
    write(tmp_path, {"labels/train/a.txt": "1 0.5 0.5 0.25 0.5 0.1 0.1 0.9 0.9\n"})
    (image,) = open_folder(str(tmp_path)).images("train")
    (only,), _ = image.annotation().read_objects(60, 80, ("cat", "dog"))
    assert only.box == (30, 15, 50, 45)


def test_labels_without_class_names_and_other_formats_beside_them_are_refused(tmp_path):
    write(tmp_path, {"a.jpg": "", "a.txt": LABEL})
    with pytest.raises(InputError, match="label files in YOLO's format but no data.yaml or classes.txt"):
        open_folder(str(tmp_path))
    write(tmp_path, {"classes.txt": "cat\ndog", "x.json": '{"images": [], "annotations": [], "categories": []}'})
    with pytest.raises(InputError, match=r"in 2 formats: COCO JSON .x.json. and YOLO .classes.txt.; name the one"):
        open_folder(str(tmp_path))
    assert open_folder(str(tmp_path / "classes.txt")).name == "YOLO"
    assert open_folder(str(tmp_path / "x.json")).name == "COCO JSON"
