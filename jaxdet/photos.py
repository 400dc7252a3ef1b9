"""Detections on a person's own photos: finding the files, drawing, and a list as JSON."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxdet import visualize
from jaxdet.checks import InputError
from jaxdet.data import image_file
from jaxdet.types import Detections

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def find(paths: Sequence[str]) -> list[Path]:
    """The photos named by paths, folders searched one level deep, sorted within each folder.

    Raises:
      InputError: a path does not exist, a folder holds no photo, or nothing was named.
    """
    if not paths:
        raise InputError(
            "photos: none given; name files or folders, as in: predict.py --workdir=... image_file.jpg folder/"
        )
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"photos: there is no file or folder {path}; name photos, or a folder that holds some.")
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"photos: no picture in {path}; looked for {', '.join(SUFFIXES)}.")
        found += inside
    return found


def annotate(
    files: Sequence[Path],
    detect: Callable[[np.ndarray], Detections],
    class_names: Sequence[str],
    output: Path,
    *,
    threshold: float,
) -> dict[str, list[dict]]:
    """Draws the detections of score >= threshold into output/<name> and writes output/detections.json.

    `detect` takes an upright RGB photo u8[H,W,3] and gives its Detections [1,D]. The list returned and written has an
    entry for each photo: path -> [{"class", "score", "box": [x1, y1, x2, y2]}], pixels of the upright photo. Photos
    that cannot be read are skipped with a warning.

    Raises:
      InputError: none of the photos can be read, or output cannot be written.
    """
    listed, names = {}, _output_names(files)
    for file, name in zip(files, names, strict=True):
        try:
            image = image_file.decode(file, name=str(file))
        except InputError as error:
            log.warning("skipped: %s", error)
            continue
        found = detect(image)
        kept = np.asarray(found.valid[0]) & (np.asarray(found.scores[0]) >= threshold)
        boxes, scores, labels = (np.asarray(x[0])[kept] for x in (found.boxes, found.scores, found.labels))
        listed[str(file)] = [
            {"class": class_names[label - 1], "score": round(float(score), 4), "box": [round(float(x), 2) for x in box]}
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]
        try:
            (output / "detections.json").unlink(missing_ok=True)  # an earlier run's, should this one be stopped
            visualize.save_image(output / name, visualize.draw(image, boxes, scores, labels, class_names))
        except OSError as error:
            raise InputError(
                f"--output: cannot write {output / name}: {error.strerror}; name another folder."
            ) from error
        log.info("%s: %d objects -> %s", file, len(boxes), output / name)
    if not listed:
        raise InputError(f"photos: none of {len(files)} could be read; see the warnings above.")
    (output / "detections.json").write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return listed


def _output_names(files: Sequence[Path]) -> list[str]:
    """A PNG for each file; files of one name in different folders are numbered apart."""
    names, used = [], set()
    for file in files:
        name, n = f"{file.stem}.png", 1
        while name in used:
            name, n = f"{file.stem}-{n}.png", n + 1
        used.add(name)
        names.append(name)
    return names
