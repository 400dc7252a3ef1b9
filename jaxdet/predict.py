"""Prediction on image files: finding them, drawing detections, and a list as JSON."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxdet import visualize
from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.io.atomic import atomic_write
from jaxdet.load import LoadedDetector, load_detector
from jaxdet.types import ImageDetections

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def predict(
    workdir: str | None, paths: Sequence[str], *, output: str, threshold: float | None, checkpoint: str
) -> None:
    """Draw detections on images and list them in output/detections.json; see `annotate`.

    Args:
      workdir: a workdir, or one of its checkpoints.
      paths: images and folders of images.
      threshold: minimum score of a detection; None for 0.5, or 0 for R-CNN's SVM margins.
      checkpoint: 'best', 'last' or a saved step.

    Raises:
      InputError: no such workdir or checkpoint; no image named, or none that can be read.
    """
    if not workdir:
        raise InputError("--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes.")
    files = find_images(paths)
    annotate(files, load_detector(workdir, checkpoint), Path(output), threshold=threshold)


def find_images(paths: Sequence[str]) -> list[Path]:
    """Return the image files named by paths; folders are searched one level deep and sorted.

    Raises:
      InputError: a path does not exist, a folder holds no image, or nothing is named.
    """
    if not paths:
        raise InputError("photos: none given; name files or folders, as in: predict.py --workdir=... photo.jpg folder/")
    files = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"photos: there is no file or folder {path}; name photos, or a folder that holds some.")
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"photos: no photo in {path}; looked for {', '.join(SUFFIXES)}.")
        files += inside
    return files


def annotate(
    files: Sequence[Path], detector: LoadedDetector, output: Path, *, threshold: float | None
) -> dict[str, list[dict[str, Any]]]:
    """Draw the detections of score >= threshold into output/<name>.png and write output/detections.json.

    Images that cannot be read are skipped with a warning.

    Returns:
      What detections.json holds: path -> [{"class", "score", "box": [x1, y1, x2, y2]}], in pixels of the upright image.

    Raises:
      InputError: none of the images can be read, or output cannot be written.
    """
    listed: dict[str, list[dict[str, Any]]] = {}
    for file, name in zip(files, _output_names(files), strict=True):
        try:
            image = image_file.decode(file, name=str(file))
        except InputError as error:
            log.warning("skipped: %s", error)
            continue
        detections = detector(image, threshold)
        listed[str(file)] = _as_json(detections)
        boxes, scores, labels = detections.boxes, detections.scores, detections.labels
        try:
            (output / "detections.json").unlink(missing_ok=True)  # an earlier run's, should this one be stopped
            picture = visualize.draw(image, boxes, scores, labels, detector.class_names)
            visualize.save_image(output / name, picture)
        except OSError as error:
            raise _unwritable(output / name, error) from error
        log.info("%s: %d objects -> %s", file, len(boxes), output / name)
    if not listed:
        raise InputError(f"photos: none of {len(files)} could be read; see the warnings above.")
    path = output / "detections.json"
    try:
        with atomic_write(path) as out:
            out.write((json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise _unwritable(path, error) from error
    return listed


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"--output: cannot write {path}: {error.strerror}; name another folder.")


def _as_json(detections: ImageDetections) -> list[dict[str, Any]]:
    return [
        {"class": name, "score": round(float(score), 4), "box": [round(float(x), 2) for x in box]}
        for box, score, name in zip(detections.boxes, detections.scores, detections.class_names, strict=True)
    ]


def _output_names(files: Sequence[Path]) -> list[str]:
    """Return a PNG name for each file; files of one name in different folders are numbered."""
    names, used = [], set()
    for file in files:
        name, n = f"{file.stem}.png", 1
        while name in used:
            name, n = f"{file.stem}-{n}.png", n + 1
        used.add(name)
        names.append(name)
    return names
