"""Detections on a user's photos: listing, drawing and writing, with a detector that knows one answer."""

import dataclasses
import hashlib
import json
import os
import types

import numpy as np
import pytest
from PIL import Image

from configs import coco_resnet50_fpn
from jaxdet import predict
from jaxdet.checks import InputError
from jaxdet.io.output_folder import LIST, OutputFolder
from jaxdet.io.safetensors import write_safetensors
from jaxdet.load import Published
from jaxdet.prediction.sources import find_sources
from jaxdet.types import ImageDetections
from jaxdet.weights.coco import CATEGORIES
from jaxdet.weights.pretrained import PRETRAINED, load_pretrained
from tests.golden import r50fpn
from tests.io.test_download import serving
from tests.prediction.test_video import save as save_video

CLASSES = ("disc", "étoile")


class Detector:
    """Detects a likely étoile over the right half of the upright image and an unlikely disc."""

    class_names, batch_size = CLASSES, 1

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
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "gray").save(path, **options)
    return path


class Stopped(Detector):
    """Is interrupted at an image of 8 pixels' height."""

    def __call__(self, image, threshold):
        if image.shape[0] == 8:
            raise KeyboardInterrupt
        return super().__call__(image, threshold)


def test_an_interrupted_run_lists_the_finished_images(tmp_path):
    files = [save(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    output = tmp_path / "output"
    annotate(files, output)
    save(files[1], (8, 8))
    with pytest.raises(KeyboardInterrupt, match="what is finished is in .*output"):
        annotate(files, output, Stopped())
    assert list(json.loads((output / "detections.json").read_text())) == [str(files[0])]


def test_an_error_in_the_middle_lists_the_finished_images(tmp_path):
    class Broken(Detector):
        def __call__(self, image, threshold):
            if image.shape[0] == 8:
                raise MemoryError
            return super().__call__(image, threshold)

    files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", (8, 8))]
    with pytest.raises(MemoryError):
        annotate(files, tmp_path / "output", Broken())
    assert list(json.loads((tmp_path / "output" / "detections.json").read_text())) == [str(files[0])]


def test_drawings_mirror_the_subfolders(tmp_path):
    for name in ("x.jpg", "day1/x.jpg", "day1/noon/x.jpg"):
        save(tmp_path / "photos" / name)
    save(tmp_path / "more" / "day1" / "x.jpg")
    sources = find_sources([str(tmp_path / "photos"), str(tmp_path / "more")])
    annotate(sources, tmp_path / "output")
    drawings = {path.relative_to(tmp_path / "output").as_posix() for path in (tmp_path / "output").rglob("*.png")}
    assert drawings == {"x.png", "day1/x.png", "day1/noon/x.png", "day1/x-1.png"}
    annotate(sources, tmp_path / "output")  # again, over its own results


def test_videos_have_their_own_files_and_are_never_replaced(tmp_path, caplog):
    film, still = save_video(tmp_path / "film.mp4", frames=2), save(tmp_path / "film.jpg")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    listed = annotate([film, still, tmp_path / "broken.mp4"], tmp_path / "output")
    assert list(listed) == [str(still)]
    names = {path.name for path in (tmp_path / "output").iterdir()}
    assert names == {LIST, "detections.json", "film.png", "film.mp4", "film.jsonl"}
    assert "skipped: video" in caplog.text and "1 of 3 photos were skipped" in caplog.text
    before = film.read_bytes()
    with pytest.raises(InputError, match="film.mp4 must not be replaced, as it is read"):
        annotate([film], tmp_path)
    assert film.read_bytes() == before


def test_images_and_the_speed_are_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    annotate([save(tmp_path / "a.png"), save(tmp_path / "b.png")], tmp_path / "output")
    assert "a.png: 1 objects -> " in caplog.text
    assert "2 images in " in caplog.text and " images/s after the first batch" in caplog.text


def test_the_speed_leaves_out_the_first_batch():
    assert predict._speed([0.0, 9.0, 9.0, 9.5, 10.0], 2) == "; 2 images/s after the first batch"
    assert predict._speed([0.0, 9.0], 1) == ""


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
    monkeypatch.setattr(predict, "open_detector", lambda *_, **more: Loaded())
    monkeypatch.setattr(predict._Job, "run", lambda *_, max_pixels, **more: used.append(max_pixels))
    options = {"threshold": None, "checkpoint": "best", "max_pixels": flag}
    predict.predict("run", [str(save(tmp_path / "a.jpg"))], output=str(tmp_path / "output"), **options)
    assert used == [expected]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A narrow detector in the layout of torchvision's COCO file, and the config that it fits."""
    path = tmp_path_factory.mktemp("published") / "narrow.safetensors"
    write_safetensors(path, r50fpn.state_dict(0, channels=2, hidden=8), {})
    config = coco_resnet50_fpn.get_config()
    config.net.update(width=1 / 32, head_features=8)
    config.input.update(short_side=64, long_side=96)
    config.rpn.test_proposals.update(pre_nms_top_n=50, post_nms_top_n=20)
    config.head.detections.score_threshold = 0.0
    return path.read_bytes(), config.to_dict()


def test_a_published_detector_is_downloaded_verified_and_names_cocos_classes(published, tmp_path, monkeypatch):
    content, config = published
    digest = f"sha256:{hashlib.sha256(content).hexdigest()[:8]}"
    entry = dataclasses.replace(PRETRAINED["coco"], digest=digest)
    monkeypatch.setitem(PRETRAINED, "coco", entry)
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {"threshold": 0.01, "checkpoint": "best"}
    photo = [str(save(tmp_path / "photo.png"))]
    with serving(content=content) as (address, asked):
        coco = Published("coco", config, f"{address}/mirror.pth")
        predict.predict(None, photo, output=str(tmp_path / "one"), pretrained=coco, **options)
    assert len(asked) > 1 and asked[1][1].startswith("bytes=")  # the server breaks off, and the download resumes
    load_pretrained("coco")  # from the cache: no server runs
    assert (tmp_path / ".cache/jaxdet/weights/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth").is_file()
    (found,) = json.loads((tmp_path / "one" / "detections.json").read_text()).values()
    names = {row["class"] for row in found}
    assert names and names <= set(CATEGORIES) - {"N/A"}

    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    with serving(content=content[:-1] + b"?") as (address, _), pytest.raises(InputError, match=f"not have {digest}"):
        coco = Published("coco", config, f"{address}/mirror.pth")
        predict.predict(None, photo, output=str(tmp_path / "three"), pretrained=coco, **options)


def test_a_published_detector_and_a_workdir_exclude_each_other(published, tmp_path):
    options = {"output": str(tmp_path), "threshold": None, "checkpoint": "best"}
    with pytest.raises(InputError, match=r"--workdir and --pretrained are both set \(runs/x, coco\)"):
        predict.predict("runs/x", ["x.jpg"], pretrained=Published("coco", published[1]), **options)
    with pytest.raises(InputError, match="--workdir is missing; .*--pretrained=coco"):
        predict.predict(None, ["x.jpg"], **options)


def test_the_threshold_is_checked_before_the_download(published, tmp_path):
    coco = Published("coco", published[1], "http://localhost:9/never asked")
    options = {"output": str(tmp_path / "output"), "checkpoint": "best", "pretrained": coco}
    with pytest.raises(InputError, match=r"threshold must be a probability in \[0, 1\], got 50"):
        predict.predict(None, [str(save(tmp_path / "x.jpg"))], threshold=50, **options)


def test_no_folder_is_created_where_photos_are_missing(published, tmp_path):
    options = {"output": str(tmp_path / "new"), "threshold": None, "checkpoint": "best"}
    with pytest.raises(InputError, match="there is no file or folder nowhere.jpg"):
        predict.predict(None, ["nowhere.jpg"], pretrained=Published("coco", published[1]), **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("paths", "option", "error"),
    [
        (["x.jpg"], {}, "no files, got x.jpg"),
        ([], {"formats": ("json", "coco")}, "no --format, got --format=json,coco; remove it"),
        ([], {"crops": True}, "no --crops, got --crops=True; remove it"),
        ([], {"batch_size": 8}, "no --batch_size, got --batch_size=8; remove it"),
        ([], {"max_pixels": 99}, "no --max_pixels, got --max_pixels=99; remove it"),
    ],
)
def test_a_camera_takes_no_files_and_no_options_of_files(tmp_path, paths, option, error):
    with pytest.raises(InputError, match=f"--camera takes {error}"):
        predict.predict("runs/x", paths, output=f"{tmp_path}/x", threshold=None, checkpoint="best", camera=0, **option)
    assert not (tmp_path / "x").exists()
