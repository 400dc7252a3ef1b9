"""Results of prediction on images: drawings, crops, and the detections in the formats that other tools read."""

import contextlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdet import visualize
from jaxdet.checks import InputError, one_of
from jaxdet.evaluation import coco_json
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.io.file_name import safe_file_name
from jaxdet.io.output_folder import OutputFolder, unique_name
from jaxdet.prediction.label_files import voc_xml, yolo_lines
from jaxdet.prediction.sources import Source
from jaxdet.types import ImageDetections
from jaxdet.weights.coco import UNUSED

log = logging.getLogger(__name__)

RESULTS = "detections.json"
COCO_IMAGES = "coco_images.json"
YOLO_CLASSES = "classes.txt"
LISTS = {"json": (RESULTS,), "coco": (coco_json.DETECTIONS, COCO_IMAGES), "voc": (), "yolo": (YOLO_CLASSES,)}
LABEL_FOLDERS = {"voc": "Annotations", "yolo": "labels"}  # a file per image
FORMATS = tuple(LISTS)

Row = dict[str, Any]  # a detection as JSON


class Results:
    """The results of images, written to an output folder: files of an image at once, lists of all images at the end.

    Each image has a drawing, PLACE.png. By format: 'json' lists all in detections.json; 'coco' writes COCO's result
    format, with the images and categories in coco_images.json; 'voc' an Annotations/PLACE.xml per image; 'yolo' a
    labels/PLACE.txt per image and classes.txt. With crops each detection has a crops/CLASS/PLACE-NUMBER.png.
    """

    def __init__(self, output: OutputFolder, sources: Sequence[Source], formats: Sequence[str], *, crops: bool):
        """Check that the results may be written.

        Raises:
          InputError: a format is unknown, a result would replace an image that is read or a file of the user's.
        """
        for name in formats:
            one_of("--format", name, FORMATS)
        self._output, self._formats, self._crops = output, formats, crops
        self._used = {name for lists in LISTS.values() for name in lists}
        self._drawings = [unique_name(f"{source.place}.png", self._used) for source in sources]
        self._lists = [name for format_name in formats for name in LISTS[format_name]]
        names = [*self._lists, *self._drawings]
        for drawing in self._drawings:
            names += [name for format_name, name in _label_files(drawing).items() if format_name in formats]
        output.check(names, inputs=[source.path for source in sources if source.path is not None])
        self.listed: dict[str, list[Row]] = {}
        self._images: list[tuple[str, str, tuple[int, int], ImageDetections]] = []  # name, drawing, (H, W), detections

    @contextlib.contextmanager
    def lists(self, class_names: Sequence[str]) -> Iterator[None]:
        """Write the lists of all images after the block, also where it is interrupted: then of the finished images."""
        try:
            yield
        except BaseException:
            if self.listed:
                with contextlib.suppress(Exception):  # the first error is the one to report
                    self._write_lists(class_names)
            raise
        if self.listed:
            self._write_lists(class_names)

    def add(
        self, number: int, name: str, image: np.ndarray, detections: ImageDetections, class_names: Sequence[str]
    ) -> Path:
        """Write the files of an image u8[H,W,3], of sources[number], and return the path of its drawing.

        The first image removes the lists of an earlier run, of any format, and each image its files of other formats.
        """
        if not self.listed:
            self._remove_earlier(itertools.chain(*LISTS.values()))
        drawing, height, width = self._drawings[number], *image.shape[:2]
        picture = visualize.draw(image, detections.boxes, detections.scores, detections.labels, class_names)
        written = self._output.write(drawing, visualize.encode_png(picture))
        files = _label_files(drawing)
        self._remove_earlier(file for format_name, file in files.items() if format_name not in self._formats)
        if "voc" in self._formats:
            self._output.write(files["voc"], voc_xml(Path(name).name, height, width, detections))
        if "yolo" in self._formats:
            self._output.write(files["yolo"], yolo_lines(height, width, detections))
        if self._crops:
            self._write_crops(drawing, image, detections)
        self.listed[name] = as_rows(detections)
        self._images.append((name, drawing, (height, width), detections))
        return written

    def _remove_earlier(self, names: Iterable[str]) -> None:
        """Remove the results of an earlier run that have these names; a file of the user's stays."""
        for name in names:
            with contextlib.suppress(InputError):
                self._output.remove(name)

    def _write_crops(self, drawing: str, image: np.ndarray, detections: ImageDetections) -> None:
        count: Counter[str] = Counter()
        for box, class_name in zip(detections.boxes, detections.class_names, strict=True):
            count[class_name] += 1
            name = f"{safe_file_name(class_name, '')}/{drawing.removesuffix('.png')}-{count[class_name]}.png"
            file = unique_name(f"crops/{name}", self._used)
            self._output.write(file, visualize.encode_png(crop(image, box)))

    def _write_lists(self, class_names: Sequence[str]) -> None:
        if "json" in self._formats:
            self._output.write(RESULTS, json.dumps(self.listed, indent=1, ensure_ascii=False) + "\n")
        if "yolo" in self._formats:
            self._output.write(YOLO_CLASSES, "".join(f"{' '.join(name.split())}\n" for name in class_names))
        if "coco" in self._formats:
            self._write_coco(class_names)
        folders = [folder for name, folder in LABEL_FOLDERS.items() if name in self._formats]
        places = [str(self._output.folder / name) for name in [*self._lists, *folders]]
        log.info("detections of %d images -> %s", len(self.listed), ", ".join(places))

    def _write_coco(self, class_names: Sequence[str]) -> None:
        names = [Path(drawing).stem for _, drawing, _, _ in self._images]
        sizes = np.array([size for _, _, size, _ in self._images])
        detections = [detections for *_, detections in self._images]
        table = DetectionTable(
            image=np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, detections))),
            boxes=np.concatenate([item.boxes for item in detections]),
            labels=np.concatenate([item.labels for item in detections]),
            scores=np.concatenate([item.scores for item in detections]),
        )
        coco_json.write_coco(self._output, table, None, names, sizes, class_names)
        files = [name for name, *_ in self._images]
        categories = {k: name for k, name in enumerate(class_names, 1) if name != UNUSED}
        self._output.write(COCO_IMAGES, coco_json.images_json(names, files, sizes, categories))


def as_rows(detections: ImageDetections) -> list[Row]:
    """Return detections as JSON: the class, the score and the box [x1, y1, x2, y2] in pixels of the upright image."""
    return [
        {"class": name, "score": round(float(score), 4), "box": [round(float(x), 2) for x in box]}
        for box, score, name in zip(detections.boxes, detections.scores, detections.class_names, strict=True)
    ]


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the pixels of an image u8[H,W,3] that a box touches, at least one."""
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.floor(box[:2]).astype(int), 0, (width - 1, height - 1))
    x2, y2 = np.clip(np.ceil(box[2:]).astype(int), (x1 + 1, y1 + 1), (width, height))
    return image[y1:y2, x1:x2]


def _label_files(drawing: str) -> dict[str, str]:
    """Return the files of an image besides its drawing, by format."""
    place = drawing.removesuffix(".png")
    return {"voc": f"{LABEL_FOLDERS['voc']}/{place}.xml", "yolo": f"{LABEL_FOLDERS['yolo']}/{place}.txt"}
