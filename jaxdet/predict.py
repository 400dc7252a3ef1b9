"""Prediction on images, videos and cameras: finding them, drawing detections, and lists of these."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.io.output_folder import OutputFolder, unique_name
from jaxdet.load import LoadedDetector, Published
from jaxdet.prediction.batches import detect_in_order
from jaxdet.prediction.choose import check_choice, open_detector, pixel_limit
from jaxdet.prediction.results import Results, Row
from jaxdet.prediction.sources import Source, find_sources
from jaxdet.prediction.video import UnreadableVideo, annotate_camera, annotate_video, camera_place, video_files

log = logging.getLogger(__name__)


def predict(
    workdir: str | None,
    paths: Sequence[str],
    *,
    output: str,
    threshold: float | None,
    checkpoint: str,
    max_pixels: int | None = None,
    pretrained: Published | None = None,
    config: Mapping[str, Any] | None = None,
    formats: Sequence[str] = ("json",),
    crops: bool = False,
    batch_size: int = 1,
    camera: int | None = None,
) -> int:
    """Draw detections on images and videos and list them in output/detections.json; see `annotate`.

    Args:
      workdir: a workdir, one of its checkpoints, or an exported file.
      paths: images, videos, folders and globs of them, and addresses of images.
      threshold: minimum score of a detection; None for 0.5, or 0 for the margins of SVMs.
      checkpoint: 'best', 'last' or a saved step.
      max_pixels: larger images and videos are skipped; None for the run's dataset.max_pixels.
      pretrained: a published detector in place of a workdir.
      config: the workdir's config with other values; None for its own.
      formats: of prediction.results.FORMATS.
      crops: also write each detection as an image of its own.
      batch_size: images per call of the device.
      camera: the number of a camera to detect on in place of paths, until Ctrl-C.

    Returns:
      How many images and videos were skipped.

    Raises:
      InputError: no such workdir or checkpoint; no image named, or none that can be read; an output would replace a
        file that jaxdet did not write; a camera with files or with formats, crops, batch_size or max_pixels.
    """
    check_choice(workdir, pretrained)
    if camera is not None:
        _check_camera(paths, formats=formats, crops=crops, batch_size=batch_size, max_pixels=max_pixels)
    sources = find_sources(paths) if camera is None else []
    folder = OutputFolder(Path(output), cure="name another folder with --output")
    options: dict[str, Any] = {"checkpoint": checkpoint, "threshold": threshold, "config": config}
    if camera is not None:
        folder.check(video_files(camera_place(camera)))
        annotate_camera(camera, open_detector(workdir, pretrained, **options), folder, threshold=threshold)
        return 0
    job = _Job(sources, folder, formats, crops=crops)
    detector = open_detector(workdir, pretrained, **options, batch_size=batch_size)
    return job.run(detector, threshold=threshold, max_pixels=pixel_limit(detector, max_pixels))


def _check_camera(
    paths: Sequence[str], *, formats: Sequence[str], crops: bool, batch_size: int, max_pixels: int | None
) -> None:
    """Raise InputError where files are named beside a camera, or options that are for files only."""
    if paths:
        raise InputError(f"--camera takes no files, got {paths[0]}; detect on them in a run of their own.")
    options = (
        ("format", ",".join(formats), "json"),
        ("crops", crops, False),
        ("batch_size", batch_size, 1),
        ("max_pixels", max_pixels, None),
    )
    for name, value, default in options:
        if value != default:
            raise InputError(f"--camera takes no --{name}, got --{name}={value}; remove it.")


def find_images(paths: Sequence[str]) -> list[Path]:
    """Return the image files named by paths; see `find_sources`, which also finds videos and addresses."""
    return [source.path for source in find_sources(paths) if source.path is not None and not source.is_video]


def annotate(
    files: Sequence[Path | Source],
    detector: LoadedDetector,
    output: OutputFolder,
    *,
    threshold: float | None,
    max_pixels: int = image_file.MAX_PIXELS,
    formats: Sequence[str] = ("json",),
    crops: bool = False,
) -> dict[str, list[Row]]:
    r"""Draw the detections of score >= threshold into output/<place>.png and list them in output/detections.json.

    Images that cannot be read are skipped with a warning. Videos become videos, see `annotate_video`.

    Args:
      files: of find_sources, or paths, whose drawings have the file's name.
      formats, crops: what else is written, see `Results`.

    Returns:
      What detections.json holds: path -> [{"class", "score", "box": [x1, y1, x2, y2]}], in pixels of the upright image.
      A byte of a path that is not UTF-8 is an escape \udcXX, as Python decodes paths (surrogateescape).

    Raises:
      InputError: none of the files can be read, or output cannot be written or has a file of the user's in the way.
      KeyboardInterrupt: Ctrl-C; the lists then hold the finished images.
    """
    sources = [file if isinstance(file, Source) else Source(str(file), file.stem) for file in files]
    job = _Job(sources, output, formats, crops=crops)
    job.run(detector, threshold=threshold, max_pixels=max_pixels)
    return job.results.listed


class _Job:
    """Images and videos with their results' names, which are checked before a detector is loaded."""

    def __init__(self, sources: Sequence[Source], output: OutputFolder, formats: Sequence[str], *, crops: bool):
        self._images = [source for source in sources if not source.is_video]
        self._videos = [source for source in sources if source.is_video]
        self._output, self._skipped = output, 0
        self.results = Results(output, self._images, formats, crops=crops)
        used: set[str] = set()
        self._video_places = [unique_name(source.place, used) for source in self._videos]
        files = [file for place in self._video_places for file in video_files(place)]
        output.check(files, inputs=[source.path for source in sources if source.path is not None])

    def run(self, detector: LoadedDetector, *, threshold: float | None, max_pixels: int) -> int:
        """Write all results; return how many images and videos were skipped."""
        count = len(self._images) + len(self._videos)
        try:
            self._annotate_images(detector, threshold, max_pixels)
            for source, place in zip(self._videos, self._video_places, strict=True):
                self._annotate_video(source, place, detector, threshold, max_pixels)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"before all was detected; what is finished is in {self._output.folder}") from stop
        if self._skipped == count:
            raise InputError(f"photos: none of {count} could be read; see the warnings above.")
        if self._skipped:
            log.warning("%d of %d photos were skipped", self._skipped, count)
        return self._skipped

    def _annotate_images(self, detector: LoadedDetector, threshold: float | None, max_pixels: int) -> None:
        names, times = detector.class_names, [time.perf_counter()]
        with self.results.lists(names):
            for number, image, found in detect_in_order(detector, self._read(max_pixels), threshold):
                source = self._images[number]
                drawing = self.results.add(number, source.name, image, found, names)
                log.info("%s: %d objects -> %s", source.name, len(found), drawing)
                times.append(time.perf_counter())
        if len(times) > 1:
            log.info("%d images in %.1f s%s", len(times) - 1, times[-1] - times[0], _speed(times, detector.batch_size))

    def _read(self, max_pixels: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the images that can be read with their numbers."""
        for number, source in enumerate(self._images):
            try:
                yield number, source.read_image(max_pixels=max_pixels)
            except InputError as error:
                self._skip(error)

    def _annotate_video(
        self, source: Source, place: str, detector: LoadedDetector, threshold: float | None, max_pixels: int
    ) -> None:
        assert source.path is not None
        options: dict[str, Any] = {"threshold": threshold, "max_pixels": max_pixels}
        try:
            count = annotate_video(source.path, detector, self._output, place, **options)
        except UnreadableVideo as error:
            self._skip(error)
        else:
            log.info("%s: %d frames -> %s", source.name, count, self._output.folder / video_files(place)[0])

    def _skip(self, error: InputError) -> None:
        log.warning("skipped: %s", error)
        self._skipped += 1


def _speed(times: Sequence[float], batch_size: int) -> str:
    """Return the images per second after the first batch, which is compiled; '' where there is no other.

    times[i] is the time in seconds at which i images were finished.
    """
    images = len(times) - 1 - batch_size
    return f"; {images / (times[-1] - times[batch_size]):.3g} images/s after the first batch" if images > 0 else ""
