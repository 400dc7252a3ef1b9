"""Prediction on image files: finding them, drawing detections, and a list as JSON."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxdet import visualize
from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.io.output_folder import OutputFolder, unique_name
from jaxdet.load import LoadedDetector, Published, load_detector, load_published
from jaxdet.types import ImageDetections

log = logging.getLogger(__name__)

RESULTS = "detections.json"
NAMES_SHOWN = 10  # of the images that are not read


def predict(
    workdir: str | None,
    paths: Sequence[str],
    *,
    output: str,
    threshold: float | None,
    checkpoint: str,
    max_pixels: int | None = None,
    pretrained: Published | None = None,
) -> None:
    """Draw detections on images and list them in output/detections.json; see `annotate`.

    Args:
      workdir: a workdir, one of its checkpoints, or an exported file.
      paths: images and folders of images.
      threshold: minimum score of a detection; None for 0.5, or 0 for the margins of SVMs.
      checkpoint: 'best', 'last' or a saved step.
      max_pixels: larger images are skipped; None for the run's dataset.max_pixels.
      pretrained: a published detector in place of a workdir.

    Raises:
      InputError: no such workdir or checkpoint; no image named, or none that can be read; an output would replace a
        file that jaxdet did not write.
    """
    if workdir and pretrained:
        raise InputError(f"--workdir and --pretrained are both set ({workdir}, {pretrained.name}); choose one.")
    if not workdir and not pretrained:
        raise InputError(
            "--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes, or detect COCO's "
            "80 classes with --pretrained=coco."
        )
    files = find_images(paths)
    folder = OutputFolder(Path(output), cure="name another folder with --output")
    folder.check([RESULTS, *_output_names(files)], inputs=files)
    detector = load_published(pretrained) if pretrained else load_detector(workdir or "", checkpoint)
    detector.check_threshold(threshold)
    if max_pixels is None:
        max_pixels = getattr(detector.experiment.dataset, "max_pixels", image_file.MAX_PIXELS)
    annotate(files, detector, folder, threshold=threshold, max_pixels=max_pixels)


def find_images(paths: Sequence[str]) -> list[Path]:
    """Return the image files named by paths; folders are searched one level deep and sorted.

    Hidden files are left out. The log counts what else is no image, and names the images of formats that are not read.

    Raises:
      InputError: a path does not exist, a folder holds no image, or nothing is named.
    """
    if not paths:
        raise InputError("photos: none given; name files or folders, as in: predict.py --workdir=... photo.jpg folder/")
    files = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"photos: there is no file or folder {path}; name photos, or a folder that holds some.")
        files += _images_in(path) if path.is_dir() else [path]
    return files


def annotate(
    files: Sequence[Path],
    detector: LoadedDetector,
    output: OutputFolder,
    *,
    threshold: float | None,
    max_pixels: int = image_file.MAX_PIXELS,
) -> dict[str, list[dict[str, Any]]]:
    r"""Draw the detections of score >= threshold into output/<name>.png and write output/detections.json.

    Images that cannot be read are skipped with a warning.

    Returns:
      What detections.json holds: path -> [{"class", "score", "box": [x1, y1, x2, y2]}], in pixels of the upright image.
      A byte of a path that is not UTF-8 is an escape \udcXX, as Python decodes paths (surrogateescape).

    Raises:
      InputError: none of the images can be read, or output cannot be written or has a file of the user's in the way.
    """
    names = _output_names(files)
    output.check([RESULTS, *names], inputs=files)
    listed: dict[str, list[dict[str, Any]]] = {}
    for file, name in zip(files, names, strict=True):
        try:
            image = image_file.decode(file, name=str(file), max_pixels=max_pixels)
        except InputError as error:
            log.warning("skipped: %s", error)
            continue
        detections = detector(image, threshold)
        output.remove(RESULTS)  # an earlier run's, should this one be stopped
        listed[str(file)] = _as_json(detections)
        boxes, scores, labels = detections.boxes, detections.scores, detections.labels
        picture = visualize.draw(image, boxes, scores, labels, detector.class_names)
        written = output.write(name, visualize.encode_png(picture))
        log.info("%s: %d objects -> %s", file, len(boxes), written)
    if not listed:
        raise InputError(f"photos: none of {len(files)} could be read; see the warnings above.")
    output.write(RESULTS, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    if len(listed) < len(files):
        log.warning("%d of %d photos were skipped", len(files) - len(listed), len(files))
    return listed


def _images_in(folder: Path) -> list[Path]:
    """Return the images in a folder by name, and log what was left out."""
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    images = [path for path in visible if path.suffix.lower() in image_file.SUFFIXES and not path.is_dir()]
    unread = [path.name for path in visible if path.suffix.lower() in image_file.OTHER_SUFFIXES]
    others = len(visible) - len(images) - len(unread)
    if unread:
        shown = ", ".join(unread[:NAMES_SHOWN]) + (", ..." if len(unread) > NAMES_SHOWN else "")
        log.warning("%s: %d images of formats that are not read: %s; convert them to JPEG", folder, len(unread), shown)
    if others:
        log.info("%s: %d other files or folders ignored", folder, others)
    if not images:
        raise InputError(f"photos: no photo in {folder}; looked for {', '.join(image_file.SUFFIXES)}.")
    return images


def _as_json(detections: ImageDetections) -> list[dict[str, Any]]:
    return [
        {"class": name, "score": round(float(score), 4), "box": [round(float(x), 2) for x in box]}
        for box, score, name in zip(detections.boxes, detections.scores, detections.class_names, strict=True)
    ]


def _output_names(files: Sequence[Path]) -> list[str]:
    """Return a PNG name for each file; files of one name are numbered."""
    used: set[str] = set()
    return [unique_name(f"{file.stem}.png", used) for file in files]
