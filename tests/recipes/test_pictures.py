"""Pictures of batches and validations: which anchors match, and which files are written."""

import itertools

import numpy as np
import pytest
from PIL import Image

from configs import coco_resnet50_fpn, fast_voc, faster_shapes
from jaxdet.config.parse import parse
from jaxdet.data.pipeline import InputOptions, train_batches
from jaxdet.evaluation.tables import DetectionTable
from jaxdet.recipes.pictures import BATCHES, Pictures, matched_anchors
from jaxdet.systems import anchors_of
from jaxdet.types import Record


class Grey:
    """A types.Dataset of four grey images with an object each."""

    names = [f"image{i}" for i in range(4)]
    image_sizes, object_counts = np.full((4, 2), 96, np.int32), np.ones(4, np.int32)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        box = np.array([[20, 20, 60, 60]], np.float32)
        return Record(self.names[i], box, np.ones(1, np.int32), np.zeros(1, bool), np.full((96, 96, 3), 90, np.uint8))


@pytest.fixture
def pictures(tmp_path):
    return Pictures(parse(faster_shapes.get_config().to_dict()), ("disc",), tmp_path / "pictures")


def test_the_first_batches_are_drawn_and_handed_on(pictures):
    options = InputOptions(flip=False, max_gt=2, workers=1, short_side=96, long_side=96)

    def batches(start):
        return train_batches(Grey(), options, batch_size=2, seed=0, start_step=start)

    drawn = pictures.of_first_batches(batches)(0)
    for batch, same in zip(itertools.islice(drawn, 4), batches(0), strict=False):
        np.testing.assert_array_equal(batch.image_id, same.image_id)
    drawn.close()
    assert sorted(path.name for path in pictures.folder.iterdir()) == [f"batch_{i + 1}.jpg" for i in range(BATCHES)]
    shown = np.asarray(Image.open(pictures.folder / "batch_1.jpg"))
    assert shown.shape[1] > 2 * 96 and len(np.unique(shown.reshape(-1, 3), axis=0)) > 3  # grey, white, boxes


def test_a_resumed_run_draws_no_batches(pictures):
    stream = pictures.of_first_batches(lambda start: (batch for batch in ["a batch"]))(BATCHES)
    assert list(stream) == ["a batch"]
    assert not pictures.folder.exists()


def test_a_validation_is_drawn(pictures):
    detections = DetectionTable(
        image=np.array([0, 1, 3], np.int32),
        boxes=np.array([[20, 20, 60, 60]] * 3, np.float32),
        labels=np.ones(3, np.int32),
        scores=np.array([0.9, 0.1, 0.8], np.float32),
    )
    pictures.of_validation(7, detections, Grey())
    assert [path.name for path in pictures.folder.iterdir()] == ["validation_7.jpg"]


def test_a_picture_that_cannot_be_drawn_ends_no_training(pictures, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError("cannot open resource")

    monkeypatch.setattr("jaxdet.visualize.draw", fail)
    none = DetectionTable(np.zeros(0, np.int32), np.zeros((0, 4)), np.zeros(0, np.int32), np.zeros(0))
    for step in (7, 8):
        pictures.of_validation(step, none, Grey())
    (warning,) = caplog.messages
    assert warning.startswith(f"{pictures.folder} cannot be drawn (OSError: cannot open resource)")
    assert not pictures.folder.exists()


def test_anchors_of_enough_iou_and_the_best_of_each_object_match():
    anchors = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [90, 90, 99, 99]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [55, 55, 75, 75]], np.float32)
    np.testing.assert_array_equal(matched_anchors(anchors, boxes, positive_iou=0.7), anchors[:3])
    assert len(matched_anchors(anchors, boxes[:0], positive_iou=0.7)) == 0
    assert len(matched_anchors(anchors[:0], boxes, positive_iou=0.7)) == 0


def test_anchors_of_each_kind_of_system():
    shapes, pyramid, fast = (parse(m.get_config().to_dict()) for m in (faster_shapes, coco_resnet50_fpn, fast_voc))
    assert anchors_of(shapes, 96, 64).shape == (6 * 4 * 9, 4)
    assert anchors_of(pyramid, 64, 96).shape == (3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2), 4)
    assert anchors_of(fast, 96, 96) is None
