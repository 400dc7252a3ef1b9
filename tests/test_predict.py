"""Detections on a user's photos: listing, drawing and writing, with a detector that knows one answer."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxdet import predict
from jaxdet.checks import InputError
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
    (tmp_path / "detections.json").write_text("an earlier run's")
    with pytest.raises(KeyboardInterrupt):
        predict.annotate(files, Stopped(), tmp_path, threshold=0.5)
    assert not (tmp_path / "detections.json").exists()


def test_detections_are_drawn_and_listed(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    files = [save(tmp_path / "a" / "x.jpg"), save(tmp_path / "b" / "x.jpg", exif=exif), tmp_path / "broken.jpg"]
    files[2].write_bytes(b"no picture")
    output = tmp_path / "new" / "folder"
    output.mkdir(parents=True)
    (output / "detections.json").write_text("an earlier run's")
    listed = predict.annotate(files, Detector(), output, threshold=0.5)
    assert listed == json.loads((output / "detections.json").read_text(encoding="utf-8"))
    assert listed == {
        str(files[0]): [{"class": "étoile", "score": 0.8765, "box": [45, 0, 90, 60]}],
        str(files[1]): [{"class": "étoile", "score": 0.8765, "box": [30, 0, 60, 90]}],
    }
    assert sorted(path.name for path in output.iterdir()) == ["detections.json", "x-1.png", "x.png"]
    with Image.open(output / "x-1.png") as picture:
        assert picture.height > picture.width  # upright
    assert f"skipped: image {files[2]}: cannot be read" in caplog.text


def test_only_unreadable_photos_are_an_error(tmp_path):
    (tmp_path / "broken.jpg").touch()
    with pytest.raises(InputError, match="none of 1 could be read"):
        predict.annotate([tmp_path / "broken.jpg"], Detector(), tmp_path, threshold=0.5)


def test_an_unwritable_output_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output: cannot write .*; name another folder"):
        predict.annotate([save(tmp_path / "x.jpg")], Detector(), tmp_path / "file", threshold=0.5)
