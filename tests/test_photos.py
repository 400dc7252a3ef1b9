import json

import numpy as np
import pytest
from PIL import Image

from jaxdet import photos
from jaxdet.checks import InputError
from jaxdet.types import Detections

CLASSES = ("disc", "étoile")


def detect(image):
    """One sure étoile over the upright photo's right half and one unsure disc; a third slot is not valid."""
    height, width = image.shape[:2]
    right = [width / 2, 0, width, height]
    return Detections(
        boxes=np.array([[right, [0, 0, 9, 9], [0, 0, 9, 9]]], np.float32),
        labels=np.array([[2, 1, 1]], np.int32),
        scores=np.array([[0.87654, 0.3, 0.9]], np.float32),
        valid=np.array([[True, True, False]]),
    )


def save(path, size=(90, 60), **options):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, "gray").save(path, **options)
    return path


def test_files_and_folders_are_found_in_order(tmp_path):
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.png").touch()
    found = photos.find([str(tmp_path / "b.JPG"), str(tmp_path)])
    assert [path.name for path in found] == ["b.JPG", "a.png", "b.JPG"]


def test_what_cannot_be_found(tmp_path):
    with pytest.raises(InputError, match="photos: none given; name files or folders, as in: predict.py"):
        photos.find([])
    with pytest.raises(InputError, match="photos: there is no file or folder nowhere.jpg; name photos"):
        photos.find(["nowhere.jpg"])
    with pytest.raises(InputError, match="photos: no picture in .*; looked for .jpg"):
        photos.find([str(tmp_path)])


def test_a_stopped_run_leaves_no_earlier_list(tmp_path):
    def stopped(image):
        if image.shape[0] == 8:
            raise KeyboardInterrupt
        return detect(image)

    files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", (8, 8))]
    (tmp_path / "detections.json").write_text("an earlier run's")
    with pytest.raises(KeyboardInterrupt):
        photos.annotate(files, stopped, CLASSES, tmp_path, threshold=0.5)
    assert not (tmp_path / "detections.json").exists()


def test_detections_are_drawn_and_listed(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    files = [save(tmp_path / "a" / "x.jpg"), save(tmp_path / "b" / "x.jpg", exif=exif), tmp_path / "broken.jpg"]
    files[2].write_bytes(b"no picture")
    output = tmp_path / "new" / "folder"
    output.mkdir(parents=True)
    (output / "detections.json").write_text("an earlier run's")
    listed = photos.annotate(files, detect, CLASSES, output, threshold=0.5)
    assert listed == json.loads((output / "detections.json").read_text(encoding="utf-8"))
    assert listed == {
        str(files[0]): [{"class": "étoile", "score": 0.8765, "box": [45, 0, 90, 60]}],
        str(files[1]): [{"class": "étoile", "score": 0.8765, "box": [30, 0, 60, 90]}],
    }
    assert sorted(path.name for path in output.iterdir()) == ["detections.json", "x-1.png", "x.png"]
    with Image.open(output / "x-1.png") as picture:
        assert picture.height > picture.width  # upright
    assert f"skipped: image {files[2]}: cannot be read" in caplog.text


def test_no_photo_that_can_be_read(tmp_path):
    (tmp_path / "broken.jpg").touch()
    with pytest.raises(InputError, match="none of 1 could be read"):
        photos.annotate([tmp_path / "broken.jpg"], detect, CLASSES, tmp_path, threshold=0.5)


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output: cannot write .*; name another folder"):
        photos.annotate([save(tmp_path / "x.jpg")], detect, CLASSES, tmp_path / "file", threshold=0.5)
