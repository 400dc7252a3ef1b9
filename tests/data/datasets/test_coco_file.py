import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.coco_file import read_coco
from jaxdet.data.datasets.xml_file import Unusable
from tests.folders import coco_json, write

A = {"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}
B = {"id": 2, "file_name": "b.jpg", "width": 80, "height": 60}
BOX = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10.5, 5.25, 20, 30.125]}
GOOD = coco_json([A, B], [BOX])


def faults_of(folder):
    """The images by their listed name, each with why it cannot be used, or ''."""
    content = read_coco(folder / "labels.json")
    faults = {}
    for image in content.images:
        faults[image.listed] = image.fault
        try:
            content.annotation(image)
        except Unusable as fault:
            faults[image.listed] = str(fault)
    return faults


def objects(folder):
    """The objects of the first image, and the faults of them all."""
    content = read_coco(folder / "labels.json")
    return content.annotation(content.images[0]).read_objects(60, 80, ("cat", "dog"))


REFUSED = {
    "truncated": (GOOD[:-30], "must be COCO's JSON, got another file .*; export it again"),
    "binary": (b'{"images": ' + b"\xff\xfe\x00", "must be COCO's JSON"),
    "latin-1": (GOOD.replace('"dog"', '"caf\u00e9"').encode("latin-1"), "must be COCO's JSON"),
    "nested": ('{"images": ' + "[" * 100_000, "must be COCO's JSON"),
    "images an object": ('{"images": {}, "categories": []}', "its 'images' is no list"),
    "no categories": ('{"images": [], "annotations": []}', "its 'categories' is no list"),
    "annotations a number": ('{"images": [], "categories": [], "annotations": 3}', "its 'annotations' is no list"),
    "category without name": (coco_json([A], [], [{"id": 1}]), "a category has no id or name"),
    "category of two names": (coco_json([A], [], [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "is both 'a' and"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_with_its_reason(tmp_path, case):
    content, reason = REFUSED[case]
    write(tmp_path, {"labels.json": content})
    with pytest.raises(InputError, match=reason) as error:
        read_coco(tmp_path / "labels.json")
    assert str(tmp_path / "labels.json") in str(error.value)


SKIPPED = {
    "id twice": ([A, {**B, "id": 1}], [BOX], "a.jpg", "image whose id others have too"),
    "id twice, as text": ([A, {**B, "id": "1"}], [BOX], "b.jpg", "image whose id others have too"),
    "no id": ([A, {"file_name": "b.jpg"}], [BOX], "b.jpg", "image without id"),
    "no file_name": ([A, {"id": 2}], [BOX], "images[1]", "image without file_name"),
    "file_name a number": ([A, {"id": 2, "file_name": 5}], [BOX], "images[1]", "image without file_name"),
    "no object": ([A, 5], [BOX], "images[1]", "image without file_name"),
    "unknown image": ([A], [{**BOX, "image_id": 99}], "image_id 99", "image has annotations but is not in images"),
    "no image_id": ([A], [BOX, {"bbox": []}, 7], "2 annotations", "annotations without image_id"),
    "no readable box": ([A, B], [{**BOX, "bbox": None}], "a.jpg", "annotation has no readable object: object without"),
    "only unknown": ([A, B], [{**BOX, "category_id": 5}], "a.jpg", "no readable object: object of category_id 5"),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_an_image_that_cannot_be_used_is_skipped_with_its_reason(tmp_path, case):
    images, annotations, name, reason = SKIPPED[case]
    assert reason in faults_of(write(tmp_path, {"labels.json": coco_json(images, annotations)}))[name]


FAULTS = {
    "unknown category": ({"category_id": 4}, "object of category_id 4, which categories does not list"),
    "category a list": ({"category_id": [7]}, "object of category_id of type list"),
    "three numbers": ({"bbox": [1, 2, 3]}, "bbox that is not four numbers"),
    "an object": ({"bbox": {"x": 1}}, "bbox that is not four numbers"),
    "texts": ({"bbox": ["1", "2", "3", "4"]}, "bbox with an unreadable number"),
    "NaN": ({"bbox": [1, float("nan"), 3, 4]}, "bbox with an unreadable number"),
    "infinite": ({"bbox": [1, 2, float("inf"), 4]}, "bbox with an unreadable number"),
    "huge": ({"bbox": [1, 2, 10**400, 4]}, "bbox with an unreadable number"),
    "true": ({"bbox": [1, 2, True, 4]}, "bbox with an unreadable number"),
    "negative": ({"bbox": [1, 2, -3, 4]}, "zero-area or inverted box"),
    "no area": ({"bbox": [1, 2, 3, 0]}, "zero-area or inverted box"),
    "outside": ({"bbox": [81, 2, 3, 4]}, "box outside the image"),
    "clipped": ({"bbox": [70, 2, 30, 4]}, "box clipped to the image"),
    "iscrowd": ({"iscrowd": "maybe"}, "object whose iscrowd or ignore is neither 0 nor 1, taken as 0"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_object_is_reported_and_the_others_used(tmp_path, case):
    change, reason = FAULTS[case]
    write(tmp_path, {"labels.json": coco_json([A], [{**BOX, **change}, BOX])})
    usable, faults = objects(tmp_path)
    assert len(faults) == 1 and reason in faults[0]
    assert len(usable) == (2 if case in ("clipped", "iscrowd") else 1)
