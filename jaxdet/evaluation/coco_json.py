"""Detections and ground truth as COCO's JSON files (cocodataset.org, data format), for pycocotools and others."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.io.output_folder import OutputFolder

DETECTIONS, GROUND_TRUTH = "coco_detections.json", "coco_ground_truth.json"


def write_coco(
    output: OutputFolder,
    detections: DetectionTable,
    ground_truth: GroundTruthTable | None,
    image_names: Sequence[str],
    image_sizes: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """Write coco_detections.json and coco_ground_truth.json.

    `COCOeval(COCO(ground truth), loadRes(detections), "bbox")` then gives the metrics of `coco_statistics`: COCO has no
    difficult objects and counts them as ordinary ones; they are marked `"ignore": 1`, which pycocotools overlooks. (It
    refuses a list without any detection.)

    As in COCO's own conversion of VOC a bbox is [x, y, width, height] of the continuous box, category_id is the label
    1..K, and image_id is the number in the image's name, 2008000002 for 2008_000002. If a name is no number, or two
    names are the same number, all image_ids are the positions in the split instead, from 1.

    Args:
      ground_truth: None writes the detections only.
      image_names: names of image 0, 1, ...; file_name is the name with VOC's .jpg, whatever the file's own suffix.
      image_sizes: i32[n,2] original (height, width).
      class_names: without the background; label k is class_names[k-1].
    """
    ids = _image_ids(image_names)
    output.write(DETECTIONS, f"{_json_array(_detections(detections, ids))}\n")
    if ground_truth is not None:
        parts = {
            "images": _images(ids, (f"{name}.jpg" for name in image_names), image_sizes),
            "annotations": _annotations(ground_truth, ids),
            "categories": _categories(dict(enumerate(class_names, 1))),
        }
        output.write(GROUND_TRUTH, _json_file(parts))


def images_json(
    image_names: Sequence[str], files: Sequence[str], image_sizes: np.ndarray, categories: Mapping[int, str]
) -> str:
    """Return the content of a file of images and categories without annotations, which the detections refer to.

    Args:
      image_names, image_sizes: see write_coco.
      files: the file_name of each image.
      categories: label -> class name.
    """
    images = _images(_image_ids(image_names), files, image_sizes)
    return _json_file({"images": images, "annotations": (), "categories": _categories(categories)})


def _detections(detections: DetectionTable, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    for image, label, bbox, score in zip(
        detections.image.tolist(),
        detections.labels.tolist(),
        _bboxes(detections.boxes),
        np.round(detections.scores.astype(np.float64), 9).tolist(),  # enough to keep different f32 scores apart
        strict=True,
    ):
        yield {"image_id": ids[image], "category_id": label, "bbox": bbox, "score": score}


def _images(ids: Sequence[int], files: Iterable[str], image_sizes: np.ndarray) -> Iterator[dict[str, Any]]:
    for number, file, (height, width) in zip(ids, files, np.asarray(image_sizes).tolist(), strict=True):
        yield {"id": number, "file_name": file, "width": width, "height": height}


def _annotations(truth: GroundTruthTable, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    columns = truth.image.tolist(), truth.labels.tolist(), _bboxes(truth.boxes), truth.difficult.tolist()
    for number, (image, label, bbox, difficult) in enumerate(zip(*columns, strict=True), 1):
        yield {
            "id": number,  # from 1: pycocotools takes 0 for no match
            "image_id": ids[image],
            "category_id": label,
            "bbox": bbox,
            "area": bbox[2] * bbox[3],
            "iscrowd": 0,
            "ignore": int(difficult),
        }


def _categories(categories: Mapping[int, str]) -> Iterable[dict[str, Any]]:
    return ({"id": k, "name": name, "supercategory": "none"} for k, name in categories.items())


def _json_file(parts: dict[str, Iterable[dict[str, Any]]]) -> str:
    """Return a JSON object of arrays, after COCO's info."""
    text = ",\n".join(['"info": {}', *(f'"{name}": {_json_array(items)}' for name, items in parts.items())])
    return f"{{\n{text}\n}}\n"


def _image_ids(names: Sequence[str]) -> list[int]:
    """Return the numbers in the names; the positions from 1 unless all names are different numbers."""
    digits = [name.replace("_", "") for name in names]
    if all(part.isascii() and part.isdigit() for part in digits):
        numbers = [int(part) for part in digits]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(names) + 1))


def _bboxes(boxes: np.ndarray) -> list[list[float]]:
    """Return [x, y, width, height] of corners f[n,4], to a ten thousandth of a pixel."""
    boxes = boxes.astype(np.float64)
    return np.round(np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1), 4).tolist()


def _json_array(items: Iterable[dict[str, Any]]) -> str:
    """Return a JSON array with one item per line."""
    return "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
