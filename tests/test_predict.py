"""Detections on a user's photos: listing, drawing and writing, with a detector that knows one answer."""

import json
import os
import types

import numpy as np
import pytest
from PIL import Image

from jaxdet import predict
from jaxdet.checks import InputError
from jaxdet.io.output_folder import LIST, OutputFolder
from jaxdet.types import ImageDetections

CLASSES = ("disc", "étoile")


class Detector:
    """Detects a likely étoile over the right half of the upright image and an unlikely disc."""

    class_names = CLASSES

    def __call__(self, image, threshold):
        height, width = image.shape[:2]
        boxes, scores = np.float32([[width / 2, 0, width, height], [0, 0, 9, 9]]), np.float32([0.87654, 0.3])
        shown = scores >= threshold
        names = tuple(np.array(["étoile", "disc"])[shown].tolist())
        return ImageDetections(boxes[shown], scores[shown], np.int32([2, 1])[shown], names)


def annotate(files, output, detector=None, **more):
    folder = OutputFolder(output, cure="name another folder with --output")
    return predict.annotate(files, detector or Detector(), folder, threshold=0.5, **more)


def save(path, size=(90, 60), **options):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, "gray").save(path, **options)
    return path


def test_files_and_folders_are_listed_in_order(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.png").touch()
    files = predict.find_images([str(tmp_path / "b.JPG"), str(tmp_path)])
    assert [path.name for path in files] == ["b.JPG", "a.png", "b.JPG"]


def test_missing_paths_are_named(tmp_path):
    with pytest.raises(InputError, match="photos: none given; name files or folders, as in: predict.py"):
        predict.find_images([])
    with pytest.raises(InputError, match="photos: there is no file or folder nowhere.jpg; name photos"):
        predict.find_images(["nowhere.jpg"])
    with pytest.raises(InputError, match="photos: no photo in .*; looked for .jpg"):
        predict.find_images([str(tmp_path)])


def test_an_interrupted_run_removes_the_list_of_an_earlier_one(tmp_path):
    class Stopped(Detector):
        def __call__(self, image, threshold):
            if image.shape[0] == 8:
                raise KeyboardInterrupt
            return super().__call__(image, threshold)

    files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", (8, 8))]
    output = tmp_path / "output"
    annotate(files[:1], output)
    with pytest.raises(KeyboardInterrupt):
        annotate(files, output, Stopped())
    assert not (output / "detections.json").exists()


def test_detections_are_drawn_and_listed(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    files = [save(tmp_path / "a" / "x.jpg"), save(tmp_path / "b" / "x.jpg", exif=exif), tmp_path / "broken.jpg"]
    files[2].write_bytes(b"no picture")
    output = tmp_path / "new" / "folder"
    annotate(files[:1], output)  # an earlier run
    listed = annotate(files, output)
    assert listed == json.loads((output / "detections.json").read_text(encoding="utf-8"))
    assert listed == {
        str(files[0]): [{"class": "étoile", "score": 0.8765, "box": [45, 0, 90, 60]}],
        str(files[1]): [{"class": "étoile", "score": 0.8765, "box": [30, 0, 60, 90]}],
    }
    assert sorted(path.name for path in output.iterdir()) == [LIST, "detections.json", "x-1.png", "x.png"]
    with Image.open(output / "x-1.png") as picture:
        assert picture.height > picture.width  # upright
    assert f"skipped: image {files[2]}: cannot be read" in caplog.text


def test_only_unreadable_photos_are_an_error(tmp_path):
    (tmp_path / "broken.jpg").touch()
    with pytest.raises(InputError, match="none of 1 could be read"):
        annotate([tmp_path / "broken.jpg"], tmp_path)


def test_an_unwritable_output_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file must be writable, got .*; name another folder with --output"):
        annotate([save(tmp_path / "x.jpg")], tmp_path / "file")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LIST}


def test_photos_in_the_output_folder_are_never_replaced(tmp_path):
    save(tmp_path / "a.png")
    before = contents(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for output in (tmp_path, tmp_path / "link", tmp_path / "link" / ".." / tmp_path.name):
        with pytest.raises(InputError, match="a.png must not be replaced, as it is read; name another folder"):
            annotate([tmp_path / "a.png"], output)
    (tmp_path / "link").unlink()
    assert contents(tmp_path) == before


def test_drawings_may_lie_beside_photos_of_other_names_but_are_not_predicted_over(tmp_path):
    save(tmp_path / "a.jpg")
    for _ in range(2):
        annotate([tmp_path / "a.jpg"], tmp_path)
    with pytest.raises(InputError, match="must not be replaced, as it is read"):
        annotate(predict.find_images([str(tmp_path)]), tmp_path)


@pytest.mark.parametrize("name", ["detections.json", "x.png"])
def test_the_users_own_files_in_the_output_folder_stay(tmp_path, name):
    output = tmp_path / "output"
    output.mkdir()
    (output / name).write_text("the user's")
    with pytest.raises(InputError, match=f"{name} must not be replaced, as jaxdet did not write it; move it away, or"):
        annotate([save(tmp_path / "w.jpg"), save(tmp_path / "x.jpg")], output)
    assert contents(output) == {name: b"the user's"}


def test_photos_that_differ_in_case_only_have_a_drawing_each(tmp_path):
    annotate([save(tmp_path / "a.jpg"), save(tmp_path / "A.png"), save(tmp_path / "a-1.png")], tmp_path / "output")
    assert sorted(path.name.lower() for path in (tmp_path / "output").glob("*.png")) == [
        *("a-1-1.png", "a-1.png", "a.png")
    ]


def test_a_name_that_is_not_utf_8_is_listed_with_its_bytes(tmp_path, caplog):
    odd = save(tmp_path / "photos" / "x.jpg").rename(tmp_path / "photos" / os.fsdecode(b"caf\xe9.jpg"))
    annotate(predict.find_images([str(tmp_path / "photos")]), tmp_path / "output")
    (path,) = json.loads((tmp_path / "output" / "detections.json").read_text(encoding="utf-8"))
    assert os.fsencode(path) == os.fsencode(odd)
    assert (tmp_path / "output" / os.fsdecode(b"caf\xe9.png")).exists()


def test_every_image_of_a_folder_is_read_or_named_and_the_rest_is_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("a.gif", "b.jfif", "c.JPE", "d.heic", "e.CR2", "notes.txt", ".hidden.jpg", "f.avif"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    assert [path.name for path in predict.find_images([str(tmp_path)])] == ["a.gif", "b.jfif", "c.JPE", "f.avif"]
    assert "2 images of formats that are not read: d.heic, e.CR2; convert them to JPEG" in caplog.text
    assert "2 other files or folders ignored" in caplog.text


def test_images_above_max_pixels_are_skipped_and_the_flag_is_named(tmp_path, caplog):
    files = [save(tmp_path / "large.png"), save(tmp_path / "small.png", (9, 9))]
    assert list(annotate(files, tmp_path / "output", max_pixels=100)) == [str(files[1])]
    assert (
        "has 90 x 60 pixels, more than max_pixels = 100; make it smaller or raise max_pixels (predict.py --max_pi"
        in (caplog.text)
    )
    assert "1 of 2 photos were skipped" in caplog.text


@pytest.mark.parametrize(("flag", "expected"), [(None, 77), (99, 99)])
def test_the_runs_own_max_pixels_holds_unless_a_flag_is_given(tmp_path, monkeypatch, flag, expected):
    class Loaded(Detector):
        experiment = types.SimpleNamespace(dataset=types.SimpleNamespace(max_pixels=77))

        def check_threshold(self, threshold):
            return threshold

    used = []
    monkeypatch.setattr(predict, "load_detector", lambda *_: Loaded())
    monkeypatch.setattr(predict, "annotate", lambda *_, max_pixels, **more: used.append(max_pixels))
    options = {"threshold": None, "checkpoint": "best", "max_pixels": flag}
    predict.predict("run", [str(save(tmp_path / "a.jpg"))], output=str(tmp_path / "output"), **options)
    assert used == [expected]
