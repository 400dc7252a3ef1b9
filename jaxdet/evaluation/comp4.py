"""PASCAL's result files of detections: comp4, detection with outside data allowed."""

import logging
import re
import urllib.parse
from collections.abc import Sequence

import numpy as np

from jaxdet.evaluation.tables import DetectionTable
from jaxdet.io.file_name import safe_file_name
from jaxdet.io.output_folder import OutputFolder

log = logging.getLogger(__name__)

NOT_IN_COLUMNS = re.compile(r"[\s%\0-\x1f\x7f\ud800-\udfff]")  # lone surrogates are bytes that are not UTF-8


def comp4_files(split: str, class_names: Sequence[str]) -> list[str]:
    """Return the names of PASCAL's result files, one per class; see safe_file_name for characters of other names."""
    return [safe_file_name(f"comp4_det_{split}_{name}", ".txt") for name in class_names]


def write_comp4(
    output: OutputFolder, files: Sequence[str], detections: DetectionTable, image_names: Sequence[str]
) -> None:
    """Write PASCAL's result files, one per class.

    A line is `image score xmin ymin xmax ymax` in VOC's 1-based inclusive pixels, with py-faster-rcnn's digits (%.3f,
    %.1f). These round scores into ties, so scoring the files can differ from `summarize`, which rounds nothing.

    Spaces separate the columns, so white space in an image's name is percent-encoded ("my%20photo"), and % with it;
    `urllib.parse.unquote` decodes it. The log says so.

    Args:
      files: the result of `comp4_files`; files[k-1] is of label k.
      image_names: names of image 0, 1, ...
    """
    ids = [_percent_encoded(name) for name in image_names]
    changed = [(name, encoded) for name, encoded in zip(image_names, ids, strict=True) if name != encoded]
    if changed:
        log.warning(
            "comp4 files: spaces and %% in image names are percent-encoded, in %d names, such as %s for %r",
            *(len(changed), changed[0][1], changed[0][0]),
        )
    for k, file in enumerate(files, 1):
        rows = np.flatnonzero(detections.labels == k)
        boxes = detections.boxes[rows] + np.array([1, 1, 0, 0], detections.boxes.dtype)
        columns = zip(detections.image[rows].tolist(), detections.scores[rows].tolist(), boxes.tolist(), strict=True)
        lines = [
            f"{ids[image]} {score:.3f} " + " ".join(f"{edge:.1f}" for edge in box) + "\n"
            for image, score, box in columns
        ]
        output.write(file, "".join(lines))


def _percent_encoded(name: str) -> str:
    return NOT_IN_COLUMNS.sub(lambda match: urllib.parse.quote(match[0], safe="", errors="surrogateescape"), name)
