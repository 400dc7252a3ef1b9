"""Videos and cameras with boxes drawn, through OpenCV's own files."""

import json
import os
import types

import cv2
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.io.output_folder import LIST, OutputFolder
from jaxdet.prediction import video
from jaxdet.prediction.video import UnreadableVideo, annotate_camera, annotate_video, in_time
from jaxdet.types import ImageDetections

FPS = 12.0


class Detector:
    """Detects a cat at the left; is interrupted at a frame."""

    class_names, batch_size = ("cat",), 1

    def __init__(self, stop_at=None):
        self.frames, self.stop_at = 0, stop_at

    def __call__(self, image, threshold):
        if self.frames == self.stop_at:
            raise KeyboardInterrupt
        self.frames += 1
        return ImageDetections(np.float32([[0, 0, 9, 9]]), np.float32([0.9]), np.int32([1]), ("cat",))


def frame(i, size=(48, 64)):
    return np.full((*size, 3), 5 * i, np.uint8)


def save(path, frames=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (64, 48))
    for i in range(frames):
        writer.write(frame(i))
    writer.release()
    return path


def read(path):
    capture = cv2.VideoCapture(str(path))
    fps, frames = capture.get(cv2.CAP_PROP_FPS), []
    while (got := capture.read())[0]:
        frames.append(got[1])
    return fps, frames


def output(folder):
    return OutputFolder(folder, cure="name another folder with --output")


def annotate(path, folder, detector=None, max_pixels=10_000):
    return annotate_video(path, detector or Detector(), output(folder), "a/film", threshold=0.5, max_pixels=max_pixels)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_video_becomes_a_video_and_a_line_per_frame(tmp_path):
    folder = tmp_path / "output"
    for _ in range(2):  # again, over its own results
        assert annotate(save(tmp_path / "film.mp4"), folder) == 6
    fps, frames = read(folder / "a/film.mp4")
    assert (fps, len(frames)) == (FPS, 6)
    assert frames[0].shape[1] > 400  # enlarged, so that names can be read
    rows = lines(folder / "a/film.jsonl")
    assert [(row["frame"], row["time"]) for row in rows] == [(i, round(i / FPS, 3)) for i in range(6)]
    assert rows[0]["detections"] == [{"class": "cat", "score": 0.9, "box": [0, 0, 9, 9]}]
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {LIST, "film.mp4", "film.jsonl"}


def test_a_stop_leaves_a_video_that_plays(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        annotate(save(tmp_path / "film.mp4"), tmp_path / "output", Detector(stop_at=3))
    assert len(read(tmp_path / "output/a/film.mp4")[1]) == 3
    assert len(lines(tmp_path / "output/a/film.jsonl")) == 3


def test_a_stop_before_the_first_frame_leaves_the_earlier_video(tmp_path):
    annotate(save(tmp_path / "film.mp4"), tmp_path / "output")
    with pytest.raises(KeyboardInterrupt):
        annotate(tmp_path / "film.mp4", tmp_path / "output", Detector(stop_at=0))
    assert len(read(tmp_path / "output/a/film.mp4")[1]) == len(lines(tmp_path / "output/a/film.jsonl")) == 6


def test_an_error_leaves_no_video(tmp_path):
    class Broken(Detector):
        def __call__(self, image, threshold):
            if self.frames == 2:
                raise MemoryError
            return super().__call__(image, threshold)

    with pytest.raises(MemoryError):
        annotate(save(tmp_path / "film.mp4"), tmp_path / "output", Broken())
    assert [path for path in (tmp_path / "output").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["a:b%03d.mp4", os.fsdecode(b"caf\xe9.mp4"), "-i.mp4"])
def test_odd_names_are_read_as_they_are(tmp_path, name):
    save(tmp_path / "film.mp4").rename(tmp_path / name)
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    assert annotate(tmp_path / name, folder) == 6
    assert (folder / "a/film.mp4").stat().st_size


def test_unreadable_videos_are_named(tmp_path, capfd):
    (tmp_path / "no.mp4").write_bytes(b"no video")
    os.mkfifo(tmp_path / "pipe.mp4")
    save(tmp_path / "large.mp4")
    for name, reason in {
        "no.mp4": "no video in a known format",
        "pipe.mp4": "is a named pipe, not a file",
        "missing.mp4": "No such file",
        "large.mp4": "has 64 x 48 pixels, more than max_pixels = 99; make it smaller or raise --max_pixels",
    }.items():
        with pytest.raises(UnreadableVideo, match=f"video .*{name}: .*{reason}"):
            annotate(tmp_path / name, tmp_path / "output", max_pixels=99)
    assert capfd.readouterr().err == ""  # FFmpeg is silent


def test_a_video_that_ends_too_early_is_said_to(tmp_path, caplog):
    whole = save(tmp_path / "film.avi", frames=40).read_bytes()
    (tmp_path / "film.avi").write_bytes(whole[: len(whole) * 2 // 3])
    count = annotate(tmp_path / "film.avi", tmp_path / "output")
    assert 0 < count < 40
    assert f"film.avi: {count} of 40 frames could be read" in caplog.text


def test_a_disk_that_is_full_is_an_error(tmp_path, monkeypatch):
    class Full:
        """Loses every frame without a word."""

        fourcc = cv2.VideoWriter.fourcc

        def __init__(self, path, *_):
            open(path, "wb").close()

        def isOpened(self):
            return True

        def write(self, image):
            pass

        def release(self):
            pass

    save(tmp_path / "film.mp4")
    monkeypatch.setattr(video.cv2, "VideoWriter", Full)
    with pytest.raises(InputError, match="must hold 6 frames, got 0; make room on the disk"):
        annotate(tmp_path / "film.mp4", tmp_path / "output")
    assert not (tmp_path / "output/a/film.mp4").exists()


def test_a_missing_camera_is_an_error(tmp_path, capfd):
    with pytest.raises(InputError, match="--camera must be the number of a camera, got 97, which does not open; 0 is"):
        annotate_camera(97, Detector(), output(tmp_path), threshold=0.5)
    assert capfd.readouterr().err == ""


class Camera:
    """Sends a frame every 0.17 s of its own clock."""

    def __init__(self, *, sends=True):
        self.clock, self.sends = 0.0, sends

    def isOpened(self):
        return True

    def release(self):
        pass

    def read(self):
        self.clock += 0.17
        return self.sends, frame(1)


def test_a_cameras_video_keeps_time_until_the_stop(tmp_path, monkeypatch):
    camera, open_capture = Camera(), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source, *api: camera if source == 0 else open_capture(source, *api))
    monkeypatch.setattr(video, "time", types.SimpleNamespace(monotonic=lambda: camera.clock))
    with pytest.raises(KeyboardInterrupt):
        annotate_camera(0, Detector(stop_at=6), output(tmp_path), threshold=0.5)  # the first frame compiles
    assert [row["frame"] for row in lines(tmp_path / "camera-0.jsonl")] == [1, 3, 5, 6, 8]
    assert len(read(tmp_path / "camera-0.mp4")[1]) == 9


def test_a_camera_that_sends_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Camera(sends=False))
    with pytest.raises(InputError, match="--camera=0 must send pictures, got none; is another program using it"):
        annotate_camera(0, Detector(), output(tmp_path), threshold=0.5)
    assert list(tmp_path.iterdir()) == []


def test_live_frames_are_numbered_by_the_clock():
    times = iter([0.0, 0.05, 0.06, 0.31, 0.32, 0.9])
    numbered = in_time(iter("abcde"), 10.0, lambda: next(times))
    assert list(numbered) == [(0, "a"), (3, "c"), (9, "e")]
