"""Detections on videos and cameras: a video with boxes drawn, and the detections of each frame as a line of JSON."""

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from jaxdet import visualize
from jaxdet.checks import InputError
from jaxdet.io.output_folder import OutputFolder
from jaxdet.io.progress import progress
from jaxdet.io.regular_file import check_regular
from jaxdet.load import LoadedDetector
from jaxdet.prediction.batches import detect_in_order
from jaxdet.prediction.results import as_rows

log = logging.getLogger(__name__)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silent; OpenCV reads it once

CODEC = "mp4v"  # MPEG-4, the codec that every build of OpenCV has
USUAL_FPS, MAX_FPS = 25.0, 240.0  # of a video that does not say a possible rate
CAMERA_FPS = 10.0  # frames per second of a camera's video; frames between are not read
DRAWN, LISTED = ".mp4", ".jsonl"


class UnreadableVideo(InputError):
    """A video that cannot be read, or is too large."""


Frames = Iterator[tuple[int, np.ndarray]]  # number in the video, u8[H,W,3] RGB


def annotate_video(
    path: Path, detector: LoadedDetector, output: OutputFolder, place: str, *, threshold: float | None, max_pixels: int
) -> int:
    """Write PLACE.mp4, the video with boxes drawn, and PLACE.jsonl, a line per frame; return the number of frames.

    A line has the frame's number from 0, its time in seconds and its detections as in detections.json. Sound is not
    copied. Ctrl-C leaves both files as far as they are written.

    Raises:
      UnreadableVideo: the video cannot be read or has more pixels than max_pixels.
      InputError: a result cannot be written.
    """
    try:
        check_regular(path)
    except OSError as error:
        raise UnreadableVideo(f"video {path}: cannot be read ({error.strerror}); replace the file.") from error
    with _plain_path(path) as plain, _opened(plain) as capture:
        height, width = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        if not capture.isOpened() or height * width == 0:
            raise UnreadableVideo(f"video {path}: cannot be read (no video in a known format); convert it to MP4.")
        if height * width > max_pixels:
            raise UnreadableVideo(
                f"video {path}: has {width} x {height} pixels, more than max_pixels = {max_pixels}; make it smaller or "
                "raise --max_pixels."
            )
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0 < fps <= MAX_FPS else USUAL_FPS
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        frames = progress(_frames(capture), name=str(path), total=max(announced, 1), unit="frame")
        count = _annotate(enumerate(frames), detector, output, place, fps=fps, threshold=threshold)
    if not count:
        raise UnreadableVideo(f"video {path}: cannot be read (no frame); replace the file.")
    if count < announced:
        log.warning("%s: %d of %d frames could be read", path, count, announced)
    return count


def annotate_camera(number: int, detector: LoadedDetector, output: OutputFolder, *, threshold: float | None) -> int:
    """Write camera-NUMBER.mp4 and camera-NUMBER.jsonl, as annotate_video does, until Ctrl-C; return how many frames.

    The video keeps the speed of the world: a frame is repeated while the next one is detected on.

    Raises:
      InputError: there is no such camera, it sends nothing, or a result cannot be written.
    """
    with _opened(number) as capture:
        if not capture.isOpened():
            raise InputError(
                f"--camera must be the number of a camera, got {number}, which does not open; 0 is the first one."
            )
        live = _frames(capture)
        first = next(live, None)
        if first is None:
            raise InputError(f"--camera={number} must send pictures, got none; is another program using it?")
        detector(first, threshold)  # compiles, which would be a minute of one picture
        place = camera_place(number)
        log.info("camera %d -> %s; press Ctrl-C to end", number, output.folder / f"{place}{DRAWN}")
        frames = in_time(live, CAMERA_FPS, time.monotonic)
        return _annotate(frames, detector, output, place, fps=CAMERA_FPS, threshold=threshold)


def camera_place(number: int) -> str:
    """Return the place of a camera's results in the output folder."""
    return f"camera-{number}"


def video_files(place: str) -> list[str]:
    """Return the names of a video's results."""
    return [f"{place}{DRAWN}", f"{place}{LISTED}"]


def in_time(frames: Iterator[np.ndarray], fps: float, clock: Callable[[], float]) -> Frames:
    """Yield live frames with their number at `fps` frames per second; of several with one number the first."""
    start, last = clock(), -1
    for frame in frames:
        number = int((clock() - start) * fps)
        if number > last:
            last = number
            yield number, frame


def _annotate(
    frames: Frames,
    detector: LoadedDetector,
    output: OutputFolder,
    place: str,
    *,
    fps: float,
    threshold: float | None,
) -> int:
    """Write the video and the lines of all frames; return how many frames the detector saw."""
    count, draw = 0, visualize.draw
    video, lines = video_files(place)
    with output.draft(lines) as list_file, output.draft(video) as video_file:
        try:
            with list_file.open("w", encoding="utf-8") as out, _writer(video_file, fps) as write:
                for number, frame, found in detect_in_order(detector, frames, threshold):
                    write(number, draw(frame, found.boxes, found.scores, found.labels, detector.class_names))
                    row = {"frame": number, "time": round(number / fps, 3), "detections": as_rows(found)}
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
                    count += 1
        finally:
            if not count:  # results of an earlier run stay
                list_file.unlink(missing_ok=True)
    return count


@contextlib.contextmanager
def _writer(file: Path, fps: float) -> Iterator[Callable[[int, np.ndarray], None]]:
    """Yield a function that writes a frame u8[H,W,3] at its number, filling a gap with the frame before.

    Raises:
      InputError: the video cannot be written, or not whole.
    """
    writer, written, last = None, 0, None

    def write(number: int, picture: np.ndarray) -> None:
        nonlocal writer, written, last
        if writer is None:
            size = picture.shape[1], picture.shape[0]
            writer = cv2.VideoWriter(plain, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), fps, size)
            if not writer.isOpened():
                raise InputError(f"{file}: OpenCV cannot write videos here; name another folder with --output.")
        bgr = np.ascontiguousarray(picture[..., ::-1])
        for _ in range(number - written):
            writer.write(bgr if last is None else last)
        writer.write(bgr)
        written, last = number + 1, bgr

    with _plain_path(file) as plain:
        try:
            yield write
        finally:
            if writer is not None:
                writer.release()
        if writer is None:
            return
        with _opened(plain) as capture:  # OpenCV does not say that a disk is full
            whole = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        if whole < written:
            raise InputError(f"{file} must hold {written} frames, got {whole}; make room on the disk.")


@contextlib.contextmanager
def _opened(source: str | int) -> Iterator[cv2.VideoCapture]:
    """Open a video by its path or a camera by its number; what the libraries say of a failure is not shown."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        # FFmpeg alone takes a name as it is: others read digits in it as the number of a picture.
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG if isinstance(source, str) else cv2.CAP_ANY)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        yield capture
    finally:
        capture.release()


@contextlib.contextmanager
def _plain_path(path: Path) -> Iterator[str]:
    """Yield a path of ASCII characters that leads to the file: OpenCV takes no name that is not UTF-8."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"video{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(path.absolute())
        yield str(link)


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames u8[H,W,3] RGB, upright."""
    while True:
        read, frame = capture.read()
        if not read:
            return
        yield np.ascontiguousarray(frame[..., ::-1])
