"""Files of results in all formats, and crops."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxdet.checks import InputError
from jaxdet.io.output_folder import LIST, OutputFolder
from jaxdet.prediction.results import FORMATS, Results, crop
from jaxdet.prediction.sources import Source
from jaxdet.types import ImageDetections

CLASSES = ("cat/dog", "N/A", "bird")
FOUND = ImageDetections(
    np.float32([[10, 5, 50, 30], [0, 0, 9, 9]]), np.float32([0.9, 0.3]), np.int32([3, 1]), ("bird", "cat/dog")
)
NOTHING = ImageDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), ())


def write(folder, detections, formats=FORMATS, *, crops=False):
    """Write the results of gray images 60 x 90, one for each name; return the files without the drawings."""
    output = OutputFolder(folder, cure="name another folder")
    sources = [Source(f"photos/{place}.jpg", place) for place in detections]
    results = Results(output, sources, formats, crops=crops)
    with results.lists(CLASSES):
        for number, source in enumerate(sources):
            image = np.full((60, 90, 3), number, np.uint8)
            results.add(number, source.name, image, detections[source.place], CLASSES)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {LIST}
    return files - {f"{place}.png" for place in detections}


def test_each_format_has_its_files(tmp_path):
    results = {"x": FOUND, "day1/y": NOTHING}
    expected = {
        "json": {"detections.json"},
        "coco": {"coco_detections.json", "coco_images.json"},
        "voc": {"Annotations/x.xml", "Annotations/day1/y.xml"},
        "yolo": {"labels/x.txt", "labels/day1/y.txt", "classes.txt"},
    }
    for name, files in expected.items():
        assert write(tmp_path / name, results, (name,)) == files
    assert write(tmp_path / "all", results) == set().union(*expected.values())
    write(tmp_path / "all", results)  # again, over its own results
    assert (tmp_path / "yolo/labels/day1/y.txt").read_text() == ""
    assert (tmp_path / "yolo/classes.txt").read_text() == "cat/dog\nN/A\nbird\n"  # its line is the label


def test_results_of_an_earlier_run_in_other_formats_are_removed(tmp_path):
    write(tmp_path, {"x": FOUND, "y": FOUND})
    for name in ("classes.txt", "Annotations/x.xml"):
        (tmp_path / name).write_text("the user's")
    assert write(tmp_path, {"x": NOTHING}, ("json",)) == {
        "detections.json",
        *("classes.txt", "Annotations/x.xml"),  # the user's
        *("y.png", "Annotations/y.xml", "labels/y.txt"),  # of the image that was not predicted again
    }
    assert (tmp_path / "classes.txt").read_text() == (tmp_path / "Annotations/x.xml").read_text() == "the user's"


def test_the_places_of_the_lists_are_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path, {"x": FOUND, "y": NOTHING}, ("json", "yolo"))
    places = ", ".join(str(tmp_path / name) for name in ("detections.json", "classes.txt", "labels"))
    assert f"detections of 2 images -> {places}" in caplog.text


def test_cocos_results_refer_to_its_images_and_categories(tmp_path):
    write(tmp_path, {"x": FOUND, "day1/y": NOTHING}, ("coco",))
    detections = json.loads((tmp_path / "coco_detections.json").read_text())
    assert [(row["image_id"], row["category_id"], row["bbox"]) for row in detections] == [
        (1, 3, [10, 5, 40, 25]),
        (1, 1, [0, 0, 9, 9]),
    ]
    images = json.loads((tmp_path / "coco_images.json").read_text())
    assert images["images"] == [
        {"id": 1, "file_name": "photos/x.jpg", "width": 90, "height": 60},
        {"id": 2, "file_name": "photos/day1/y.jpg", "width": 90, "height": 60},
    ]
    assert {row["id"]: row["name"] for row in images["categories"]} == {1: "cat/dog", 3: "bird"}


def test_numbers_in_names_are_cocos_image_ids(tmp_path):
    write(tmp_path, {"val/000000397133": FOUND, "val/7": FOUND}, ("coco",))
    images = json.loads((tmp_path / "coco_images.json").read_text())["images"]
    assert [row["id"] for row in images] == [397133, 7]


def test_crops_are_in_a_folder_per_class(tmp_path):
    crops = write(tmp_path, {"x": FOUND, "day1/y": FOUND}, (), crops=True)
    assert crops == {f"crops/{name}/{place}-1.png" for name in ("bird", "cat%2Fdog") for place in ("x", "day1/y")}
    with Image.open(tmp_path / "crops/bird/x-1.png") as image:
        assert image.size == (40, 25)


def test_crops_of_one_class_are_numbered(tmp_path):
    two = ImageDetections(FOUND.boxes, FOUND.scores, np.int32([3, 3]), ("bird", "bird"))
    assert write(tmp_path, {"x": two}, (), crops=True) == {"crops/bird/x-1.png", "crops/bird/x-2.png"}


def test_a_crop_has_every_pixel_that_its_box_touches_and_at_least_one():
    image = np.arange(60 * 90 * 3, dtype=np.uint8).reshape(60, 90, 3)
    np.testing.assert_array_equal(crop(image, np.float32([1.2, 2, 3.1, 4])), image[2:4, 1:4])
    np.testing.assert_array_equal(crop(image, np.float32([90, 60, 90, 60])), image[59:, 89:])


@pytest.mark.parametrize("name", ["Annotations/x.xml", "labels/x.txt", "classes.txt", "coco_images.json"])
def test_a_file_of_the_users_in_a_results_place_is_an_error_before_the_work(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("the user's")
    with pytest.raises(InputError, match=f"{name} must not be replaced, as jaxdet did not write it"):
        Results(OutputFolder(tmp_path, cure=""), [Source("x.jpg", "x")], FORMATS, crops=False)
    assert (tmp_path / name).read_text() == "the user's"


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(
        InputError, match="--format must be one of json, coco, voc, yolo, got 'jsn'; did you mean 'json'"
    ):
        Results(OutputFolder(tmp_path, cure=""), [], ["jsn"], crops=False)
