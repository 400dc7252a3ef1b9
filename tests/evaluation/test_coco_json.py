"""COCO's JSON files: their structure, and the same twelve metrics when they are scored."""

import json
import pathlib

import numpy as np
import pytest

from jaxdet.evaluation.coco_ap import coco_statistics
from jaxdet.evaluation.coco_json import write_coco
from jaxdet.evaluation.tables import DetectionTable, GroundTruthTable
from jaxdet.io.output_folder import LIST, OutputFolder

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "ap.npz"  # py-faster-rcnn's voc_eval, pycocotools


def opened(folder):
    return OutputFolder(folder, cure="name another folder")


def read(folder):
    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    files = (folder / f"coco_{part}.json" for part in ("detections", "ground_truth"))
    return [json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse) for file in files]


def test_without_ground_truth_only_the_detections_are_written(tmp_path):
    detections, _, *others = two_images()
    write_coco(opened(tmp_path), detections, None, *others)
    assert {path.name for path in tmp_path.iterdir()} == {LIST, "coco_detections.json"}


def two_images(names=("000012", "2008_000002")):
    """The car of VOC 2007's image 000012, XML (156, 97, 351, 270), and a difficult object; one detection."""
    truth = GroundTruthTable(
        np.array([0, 1], np.int32),
        np.float32([[155, 96, 351, 270], [10, 20, 30.5, 40]]),
        np.array([2, 1], np.int32),
        np.array([False, True]),
    )
    detections = DetectionTable(np.int32([1]), np.float32([[10.1, 20, 30.3, 41]]), np.int32([1]), np.float32([0.1]))
    return detections, truth, names, np.int32([[333, 500], [10, 20]]), ("Kühe", "car")


def test_the_files_equal_cocos_own_conversion_of_voc(tmp_path):
    write_coco(opened(tmp_path / "new"), *two_images())
    write_coco(opened(tmp_path / "new"), *two_images())
    entries, truth = read(tmp_path / "new")
    assert entries == [
        {"image_id": 2008000002, "category_id": 1, "bbox": [10.1, 20.0, 20.2, 21.0], "score": 0.100000001}
    ]
    assert truth["images"] == [
        {"id": 12, "file_name": "000012.jpg", "width": 500, "height": 333},
        {"id": 2008000002, "file_name": "2008_000002.jpg", "width": 20, "height": 10},
    ]
    car, cow = truth["annotations"]
    assert car == {
        "id": 1, "image_id": 12, "category_id": 2, "bbox": [155, 96, 196, 174], "area": 34104, "iscrowd": 0, "ignore": 0
    }  # fmt: skip
    assert (cow["id"], cow["image_id"], cow["ignore"], cow["iscrowd"]) == (2, 2008000002, 1, 0)
    assert [(entry["id"], entry["name"]) for entry in truth["categories"]] == [(1, "Kühe"), (2, "car")]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        LIST,
        "coco_detections.json",
        "coco_ground_truth.json",
    ]


@pytest.mark.parametrize("names", [("000012", "photo"), ("12", "1_2"), ("12", "²")])
def test_image_ids_are_positions_where_names_are_no_distinct_numbers(tmp_path, names):
    write_coco(opened(tmp_path), *two_images(names))
    entries, truth = read(tmp_path)
    assert [image["id"] for image in truth["images"]] == [1, 2]
    assert [image["file_name"] for image in truth["images"]] == [f"{name}.jpg" for name in names]
    assert [entries[0]["image_id"], *(annotation["image_id"] for annotation in truth["annotations"])] == [2, 1, 2]


def test_an_empty_split_gives_valid_json(tmp_path):
    no_ids, no_boxes = np.zeros(0, np.int32), np.zeros((0, 4), np.float32)
    detections = DetectionTable(no_ids, no_boxes, no_ids, np.zeros(0, np.float32))
    truth = GroundTruthTable(no_ids, no_boxes, no_ids, np.zeros(0, bool))
    write_coco(opened(tmp_path), detections, truth, [], np.zeros((0, 2), np.int32), ("a",))
    entries, truth = read(tmp_path)
    assert entries == truth["images"] == truth["annotations"] == []


def test_the_written_files_score_as_the_tables_do_in_pycocotools(tmp_path):
    g = np.load(GOLDEN)
    detections = DetectionTable(g["det/image"], g["det/boxes"], g["det/labels"] + 1, g["det/scores"])
    truth = GroundTruthTable(g["gt/image"], g["gt/boxes"], g["gt/labels"] + 1, g["gt/difficult"])
    names = [f"{i:06d}" for i in range(1 + max(truth.image.max(), detections.image.max()))]
    sizes = np.full((len(names), 2), 500, np.int32)
    write_coco(opened(tmp_path), detections, truth, names, sizes, [f"class {k}" for k in range(20)])
    written, annotated = read(tmp_path)

    def columns(items, *more):
        boxes = np.array([item["bbox"] for item in items])
        boxes[:, 2:] += boxes[:, :2]
        image, labels = (np.array([item[key] for item in items]) for key in ("image_id", "category_id"))
        return image, boxes, labels, *(np.array([item[key] for item in items]) for key in more)

    back = GroundTruthTable(*columns(annotated["annotations"], "ignore"))
    stats, _ = coco_statistics(DetectionTable(*columns(written, "score")), back, num_classes=20)
    np.testing.assert_allclose(list(stats.values()), g["coco/stats_all_objects"], rtol=0, atol=1e-6)
