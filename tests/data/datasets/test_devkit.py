import json
import logging

import numpy as np
import pytest
from PIL import Image

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets.devkit import prepare_devkit

CAT = ("cat", 11, 6, 30, 40)


def prepare(devkit, tmp_path, *splits, **options):
    return prepare_devkit(devkit=str(devkit.folder), splits=splits, data_dir=str(tmp_path / "data"), **options)


def faults(builder, split="train"):
    return json.loads((builder.data_path / "skipped.json").read_text())[split]


def test_a_devkit_is_prepared_as_records(devkit, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for name, suffix in (("b", ".jpg"), ("a", ".JPG"), ("c", ".png")):
        devkit.image(name, suffix=suffix)
    devkit.annotation("b", ("zebra", 1, 1, 80, 60), (*CAT, {"difficult": 1}))
    devkit.annotation("a", CAT)
    devkit.annotation("c")
    devkit.split("train", "b", "a")
    devkit.split("held-out_1", "c")
    builder = prepare(devkit, tmp_path, "train", "held-out_1")
    train = open_split(builder, "train")
    assert train.class_names == ("cat", "zebra")
    assert train.names == ["b", "a"]
    assert train.image_sizes.tolist() == [[60, 80], [60, 80]]
    assert train.object_counts.tolist() == [1, 1]
    record = train[0]
    np.testing.assert_array_equal(record.boxes, np.array([[0, 0, 80, 60], [10, 5, 30, 40]], np.float32))
    assert record.labels.tolist() == [2, 1]
    assert record.difficult.tolist() == [False, True]
    empty = open_split(builder, "held-out_1")[0]  # images without objects are used
    assert (empty.boxes.shape, empty.labels.shape, empty.difficult.shape) == ((0, 4), (0,), (0,))
    assert "train: 2 images used, 0 skipped" in caplog.text and "skipped.json" not in caplog.text
    assert faults(builder) == {"images": {}, "objects": {}}


def test_stored_features_are_those_of_tfds_voc(devkit, tmp_path):
    file = devkit.image("a")
    devkit.annotation("a", CAT)
    devkit.split("train", "a")
    builder = prepare(devkit, tmp_path, "train")
    example = builder.as_data_source("train")[0]
    assert set(example) == {"image", "image/filename", "objects", "labels", "labels_no_difficult"}
    assert set(example["objects"]) == {"label", "bbox", "pose", "is_truncated", "is_difficult"}
    np.testing.assert_allclose(example["objects"]["bbox"][0], [6 / 60, 11 / 80, 40 / 60, 30 / 80], rtol=1e-6)
    np.testing.assert_array_equal(example["image"], np.array(Image.open(file)))


def test_faulty_files_are_skipped_and_listed(devkit, tmp_path, caplog, capsys):
    for name in ("good", "cut", "nobox", "broken", "entity", "huge", "other"):
        devkit.image(name)
        devkit.annotation(name, CAT)
    cut = devkit.folder / "JPEGImages/cut.jpg"
    cut.write_bytes(cut.read_bytes()[:-100])
    devkit.annotation("noimage", CAT)
    (devkit.folder / "Annotations/nobox.xml").unlink()
    (devkit.folder / "Annotations/broken.xml").write_text("<annotation>")
    (devkit.folder / "Annotations/entity.xml").write_text('<!DOCTYPE a [<!ENTITY b "x">]><annotation>&b;</annotation>')
    devkit.image("huge", Image.new("RGB", (200, 100)))
    devkit.annotation("other", CAT, size=(600, 800))
    devkit.split("train", "good", "good", "cut", "noimage", "nobox", "broken", "entity", "huge", "other")
    builder = prepare(devkit, tmp_path, "train", max_pixels=10_000)
    assert open_split(builder, "train").names == ["good"]
    images = {names[0]: reason for reason, names in faults(builder)["images"].items()}
    for name, reason in {
        "good": "listed twice",
        "cut": "cannot be read",
        "noimage": "image missing",
        "nobox": "annotation missing",
        "broken": "does not parse",
        "entity": "entities",
        "huge": "200 x 100 pixels, more than max_pixels",
        "other": "is 80 x 60, but its annotation says 800 x 600",
    }.items():
        assert reason in images[name]
    assert "1 images used, 8 skipped" in caplog.text
    assert f"every skipped image and object is named in {builder.data_path / 'skipped.json'}" in caplog.messages
    assert all(f": {name}" in caplog.text for name in images) and ".:" not in caplog.text
    assert not capsys.readouterr().out  # TFDS would speak of downloads


def test_folders_and_unreadable_files_are_skipped_and_named(devkit, tmp_path, caplog):
    devkit.image("good")
    (devkit.folder / "JPEGImages/folder.jpg").mkdir()
    (devkit.folder / "JPEGImages/moved.jpg").symlink_to(tmp_path / "gone.jpg")
    devkit.image("unsaid")
    for name in ("good", "folder", "moved"):
        devkit.annotation(name, CAT)
    (devkit.folder / "Annotations/unsaid.xml").symlink_to(tmp_path / "gone.xml")
    devkit.split("train", "good", "folder", "moved", "unsaid")
    builder = prepare(devkit, tmp_path, "train")
    assert open_split(builder, "train").names == ["good"]
    assert faults(builder)["images"] == {
        "cannot be read (is a folder, not a file); replace the file": ["folder"],
        "there is no such file; check the path": ["moved"],
        "annotation cannot be read (No such file or directory)": ["unsaid"],
    }
    assert "1 images used, 3 skipped" in caplog.text
    assert prepare(devkit, tmp_path, "train").data_path == builder.data_path


def test_images_in_subfolders_keep_the_folder_in_their_names(devkit, tmp_path):
    for folder in ("day1", "day2"):
        for kind in ("JPEGImages", "Annotations"):
            (devkit.folder / kind / folder).mkdir()
        devkit.image(f"{folder}/a")
        devkit.annotation(f"{folder}/a", CAT)
    devkit.split("train", "day1/a", "day2/a")
    assert open_split(prepare(devkit, tmp_path, "train"), "train").names == ["day1/a", "day2/a"]


def test_images_listed_by_another_name_are_found_and_logged(devkit, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    devkit.image("a", suffix=".bmp")
    devkit.image("b").rename(devkit.folder / "JPEGImages/b.jfif")
    for name in "ab":
        devkit.annotation(name, CAT)
    devkit.split("train", "A.jpg", "b")
    assert open_split(prepare(devkit, tmp_path, "train"), "train").names == ["a", "b"]
    assert "1 images are listed by another name: A.jpg is JPEGImages/a.bmp" in caplog.text


def test_a_class_name_over_two_lines_shifts_no_other_class(devkit, tmp_path):
    devkit.image("a")
    devkit.annotation("a", ("traffic\n      light", 1, 1, 9, 9), ("zebra", 2, 2, 9, 9))
    devkit.split("train", "a")
    opened = open_split(prepare(devkit, tmp_path, "train"), "train")
    assert opened.class_names == ("traffic light", "zebra")
    assert opened.annotations(0).labels.tolist() == [1, 2]


def test_annotations_of_another_format_are_no_empty_images(devkit, tmp_path, caplog):
    for name in ("good", "cvat"):
        devkit.image(name)
        devkit.annotation(name, CAT)
    (devkit.folder / "Annotations/cvat.xml").write_text("<annotations><image><box label='cat'/></image></annotations>")
    devkit.split("train", "good", "cvat")
    assert open_split(prepare(devkit, tmp_path, "train"), "train").names == ["good"]
    assert "annotation is not in VOC's format: its root is <annotations>, not <annotation>: cvat" in caplog.text


def test_faulty_objects_are_dropped_and_listed(devkit, tmp_path):
    devkit.image("a")
    devkit.annotation("a", CAT, ("cat", 5, 5, 5, 5), ("dog", 1, 1, 9, 9), ("cat", -3, 1, 9, 9), ("cat", 90, 1, 99, 9))
    devkit.split("train", "a")
    builder = prepare(devkit, tmp_path, "train", class_names=("cat",))
    assert len(open_split(builder, "train").annotations(0).boxes) == 2
    assert faults(builder)["objects"] == {
        "zero-area or inverted box": ["a"],
        "object of unknown class 'dog'": ["a"],
        "box clipped to the image": ["a"],
        "box outside the image": ["a"],
    }


def test_given_class_names_set_the_labels(devkit, tmp_path):
    devkit.image("a")
    devkit.annotation("a", CAT, ("ant", 1, 1, 9, 9))
    devkit.split("train", "a")
    opened = open_split(prepare(devkit, tmp_path, "train", class_names=("zebra", "cat", "ant")), "train")
    assert opened.class_names == ("zebra", "cat", "ant")
    assert opened.annotations(0).labels.tolist() == [2, 3]
    with pytest.raises(InputError, match="class_names must differ"):
        prepare(devkit, tmp_path, "train", class_names=("cat", "cat"))


def test_a_changed_devkit_is_prepared_again(devkit, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    devkit.image("a")
    devkit.annotation("a", CAT)
    devkit.split("train", "a")
    first = prepare(devkit, tmp_path, "train")
    assert prepare(devkit, tmp_path, "train").data_path == first.data_path
    devkit.annotation("a", CAT, ("dog", 1, 1, 9, 9))
    second = prepare(devkit, tmp_path, "train")
    assert second.data_path != first.data_path
    assert open_split(second, "train").class_names == ("cat", "dog")
    assert "1 copies of earlier contents of the folder use" in caplog.text
    assert str(first.data_path.parent) in caplog.messages[-1]


def test_a_split_without_usable_images_is_refused(devkit, tmp_path):
    devkit.annotation("b", CAT)
    devkit.split("train", "a", "b")
    with pytest.raises(InputError, match="no image can be used.*2 skipped") as error:
        prepare(devkit, tmp_path, "train")
    assert "annotation missing" not in str(error.value)  # the image is missed first
    assert "image missing from JPEGImages: a, b" in str(error.value)
    assert not list((tmp_path / "data").rglob("*.array_record*"))


def test_the_nearest_name_is_told_for_a_missing_image(devkit, tmp_path):
    devkit.image("photo_01")
    devkit.annotation("photo_01", CAT)
    devkit.split("train", "photo_01  1")  # with the flag of VOC's lists of one class
    with pytest.raises(InputError, match="did you mean 'photo_01' by 'photo_01  1'"):
        prepare(devkit, tmp_path, "train")


def test_a_missing_split_or_folder_is_refused(devkit, tmp_path):
    devkit.split("train", "a")
    with pytest.raises(InputError, match=r"no split file .*validation.txt"):
        prepare(devkit, tmp_path, "train", "validation")
    with pytest.raises(InputError, match="there is no folder"):
        prepare_devkit(devkit=str(tmp_path / "gone"), splits=("train",), data_dir=str(tmp_path))


@pytest.mark.parametrize("split", ["all", "train.v2"])
def test_split_names_that_tfds_refuses_are_refused(devkit, tmp_path, split):
    devkit.split(split, "a")
    with pytest.raises(InputError, match=f"cannot name a split '{split}'; rename it"):
        prepare(devkit, tmp_path, split)


def test_a_split_without_annotations_is_read_as_images_alone(devkit, tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn
    devkit.image("a", exif=exif)
    devkit.image("b")
    devkit.split("test", "a", "b", "gone")
    options = {"class_names": ("dog", "cat"), "annotated": False}
    builder = prepare(devkit, tmp_path, "test", **options)
    test = open_split(builder, "test")
    assert (test.names, test.class_names) == (["a", "b"], ("dog", "cat"))
    assert test.image_sizes.tolist() == [[80, 60], [60, 80]]  # as predict.py shows them
    assert test[0].image.shape == (80, 60, 3) and test[0].boxes.shape == (0, 4)
    assert faults(builder, "test") == {"images": {"image missing from JPEGImages": ["gone"]}, "objects": {}}
    with pytest.raises(InputError, match="annotation missing from Annotations: a, b"):  # the copy is not used for it
        prepare(devkit, tmp_path, "test", class_names=("dog", "cat"))
