import os

import numpy as np
import pytest
from PIL import Image

from jaxdet.checks import InputError
from tests.doctor.conftest import CAT, DOG


def texts(report, *severities):
    listed = [finding for finding in report.findings if not severities or finding.severity in severities]
    return [f"{finding.text}: {', '.join(finding.names)}".removesuffix(": ") for finding in listed]


def finding_with(report, text):
    (finding,) = [finding for finding in report.findings if text in finding.text]
    return finding


def test_a_faultless_folder_has_no_errors(examine, capsys):
    report = examine()
    assert texts(report, "error") == []
    assert [report.splits["train"][key] for key in ("split", "images", "skipped", "objects")] == ["train", 2, 0, 4]
    assert report.classes["test"] == {"cat": (2, 2), "dog": (2, 2)}
    printed = capsys.readouterr().out
    assert "\x1b" not in printed  # plain text outside a terminal
    assert "Data: " in printed


def broken(devkit, name):
    (devkit.folder / f"JPEGImages/{name}.jpg").write_bytes(b"no image")


def missing(devkit, name):
    (devkit.folder / f"JPEGImages/{name}.jpg").unlink()


def unreadable(devkit, name):
    (devkit.folder / f"Annotations/{name}.xml").write_text("<annotation><object>")


def entities(devkit, name):
    text = '<!DOCTYPE a [<!ENTITY x "y">]><annotation><filename>&x;</filename></annotation>'
    (devkit.folder / f"Annotations/{name}.xml").write_text(text)


def of_another_size(devkit, name):
    devkit.annotation(name, CAT, size=(90, 30))


def listed_twice(devkit, name):
    devkit.split("train", name, name, "train1")


def a_folder(devkit, name):
    missing(devkit, name)
    (devkit.folder / f"JPEGImages/{name}.jpg").mkdir()


def a_pipe(devkit, name):
    missing(devkit, name)
    os.mkfifo(devkit.folder / f"JPEGImages/{name}.jpg")


def a_dangling_link(devkit, name):
    missing(devkit, name)
    (devkit.folder / f"JPEGImages/{name}.jpg").symlink_to("nowhere.jpg")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (broken, "no image in a known format"),
        (missing, "image missing from JPEGImages"),
        (unreadable, "annotation does not parse"),
        (entities, "annotation carries XML entities"),
        (of_another_size, "is 80 x 60, but its annotation says 30 x 90"),
        (listed_twice, "listed twice"),
        (a_folder, "is a folder, not a file"),
        (a_pipe, "is a named pipe, not a file"),
        (a_dangling_link, "there is no such file"),
    ],
)
def test_a_skipped_image_is_named_with_its_reason(devkit, examine, fault, reason):
    fault(devkit, "train0")
    finding = finding_with(examine(), reason)
    assert finding.text.startswith("skipped, 1 of ")
    assert (finding.severity, finding.names) == ("error", ("train0",))


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ((CAT, DOG, ("cat", 5, 5, 5, 9)), "zero-area or inverted box"),
        ((CAT, DOG, ("cat", 100, 5, 120, 9)), "box outside the image"),
        ((CAT, DOG, ("cat", "x", 5, 12, 9)), "box with a missing or unreadable number"),
    ],
)
def test_an_unusable_object_is_named_with_its_reason(devkit, examine, objects, reason):
    devkit.annotation("train0", *objects)
    finding = finding_with(examine(), reason)
    assert (finding.severity, finding.names) == ("error", ("train0",))


def test_a_corrected_box_is_a_note(devkit, examine):
    devkit.annotation("train0", CAT, DOG, ("cat", 5, 5, 90, 90))
    assert finding_with(examine(), "box clipped to the image").severity == "note"


def test_huge_images_are_skipped_by_the_configs_limit(examine):
    report = examine("--config.dataset.max_pixels=4000")
    assert sum("has 80 x 60 pixels, more than max_pixels" in text for text in texts(report, "error")) == 3
    assert "no image of split 'train' can be used" in texts(report, "error")


def test_a_split_of_broken_images_only_is_an_error_and_the_others_are_examined(devkit, examine):
    for name in ("train0", "train1"):
        broken(devkit, name)
    report = examine()
    assert "no image of split 'train' can be used" in texts(report, "error")
    assert list(report.splits) == ["validation", "test"]


def test_training_without_validation_is_advised_where_its_list_is_missing(devkit, examine):
    (devkit.folder / "ImageSets/Main/val.txt").unlink()
    flags = ("--config.training.eval_every=0", "--config.splits.validation=")
    report = examine()
    (finding,) = [finding for finding in report.findings if finding.flags == flags]
    assert (finding.severity, "val.txt" in finding.text) == ("error", True)
    assert report.advised_command().startswith(
        "jaxdet train --config.training.eval_every=0 --config.splits.validation="
    )
    assert texts(examine(*flags), "error") == []


def test_a_list_that_is_no_text_is_named(devkit, examine):
    (devkit.folder / "ImageSets/Main/train.txt").write_bytes(b"\xff\xfe\x00")
    assert "train.txt must be UTF-8 text" in finding_with(examine(), "train.txt").text


def test_one_class_is_no_fault(devkit, examine):
    for name in ("train0", "train1", "val0", "val1", "test0", "test1"):
        devkit.annotation(name, CAT)
    assert texts(examine(), "error") == []


def test_no_objects_at_all_are_an_error(devkit, examine):
    for name in ("train0", "train1", "val0", "val1", "test0", "test1"):
        devkit.annotation(name)
    assert finding_with(examine(), "names an object").severity == "error"


def test_a_misspelt_class_of_the_config_is_seen(examine):
    report = examine("--config.dataset.class_names=cat,dgo")
    assert finding_with(report, "classes without an object in train").names == ("dgo",)
    assert finding_with(report, "of train: object of unknown class 'dog'").severity == "error"


def test_loops_of_links_end(devkit, examine):
    (devkit.folder / "JPEGImages/loop").symlink_to(devkit.folder)
    assert texts(examine(), "error") == []


def test_odd_images_are_named_by_kind(devkit, examine):
    grey = Image.fromarray(np.arange(4800, dtype=np.uint8).reshape(60, 80))
    devkit.image("train0", grey)
    exif = Image.Exif()
    exif[0x0112] = 3
    devkit.image("train1", grey.convert("CMYK"), exif=exif)
    deep = Image.fromarray((np.arange(4800, dtype=np.uint16) * 13).reshape(60, 80))
    missing(devkit, "val0")
    devkit.image("val0", deep, suffix=".png")
    report = examine()
    assert finding_with(report, "grey, 1 of 2 images of train").names == ("train0",)
    assert finding_with(report, "CMYK, 1 of 2 images of train").names == ("train1",)
    assert finding_with(report, "rotated by EXIF").names == ("train1",)
    assert finding_with(report, "more than 8 bits, 1 of 2 images of validation").names == ("val0",)


def test_leakage_is_named_file_by_file(devkit, examine):
    (devkit.folder / "JPEGImages/test1.jpg").write_bytes((devkit.folder / "JPEGImages/train0.jpg").read_bytes())
    finding = finding_with(examine(), "pairs of equal files in train and test: 1")
    assert (finding.severity, finding.names) == ("warning", ("train/train0 = test/test1",))


def test_a_folder_without_a_data_set_is_one_error(devkit, examine):
    for name in ("Annotations", "JPEGImages", "ImageSets"):
        (devkit.folder / name).rename(devkit.folder.parent / name)
    with pytest.raises(InputError, match="photos has no data set in a known format"):
        examine()


@pytest.mark.parametrize("rooted", ["Annotations", "JPEGImages"])
def test_a_folder_without_permission_is_named(devkit, examine, rooted):
    (devkit.folder / rooted).chmod(0)
    if os.access(devkit.folder / rooted, os.R_OK):
        pytest.skip("root reads every folder")
    try:
        assert texts(examine(), "error")
    except (InputError, PermissionError) as error:  # the command prints both in one line
        assert rooted in str(error)
    finally:
        (devkit.folder / rooted).chmod(0o755)
