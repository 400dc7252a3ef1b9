import json
import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.data.pipeline import InputOptions
from jaxdet.inputs import Split
from jaxdet.models.detector import Detector
from jaxdet.proposals.file import parts_folder
from jaxdet.recipes import rpn_proposals as module
from jaxdet.recipes.rpn_proposals import rpn_proposals
from jaxdet.types import Detections, Record

SIZES = [(32, 32), (16, 32), (32, 16), (32, 32), (32, 16), (32, 32), (32, 16)]  # of two buckets
PARAMS = {"rpn_conv": {"kernel": np.full((2, 2), 0.5, np.float32)}}


LIMITS = {"pre_nms_top_n": 100, "post_nms_top_n": 3, "nms_iou": 0.7}


def predict(params, batch):
    """Predict i % 4 boxes for image i (of shade i) that encode i and its width; also for rows that fill a batch."""
    i = batch.image[:, 0, 0, 0].astype(jnp.float32)
    width, total = batch.image_size[:, 1] / batch.scale, jnp.full_like(i, params["rpn_conv"]["kernel"].sum())
    rank = jnp.arange(3, dtype=jnp.float32)
    boxes = jnp.stack([i, jnp.zeros_like(i), width, total], axis=-1)[:, None] + rank[None, :, None]
    valid = rank[None] < (i % 4)[:, None]
    return Detections(boxes, rank[None].repeat(len(i), 0), valid.astype(jnp.int32), valid)


def expected(i):
    height, width = SIZES[i]
    return np.array([i, 0, width, 2], np.float32) + np.arange(i % 4, dtype=np.float32)[:, None]


STAGE = types.SimpleNamespace(detector=Detector(init=None, loss=None, predict=predict), steps=7)


class Photos:
    """Seven images, image i of shade i; reading image `broken` raises, like a kill."""

    fingerprint, image_sizes, class_names = "ab12", np.array(SIZES, np.int32), ("a",)
    names, object_counts = [str(i) for i in range(len(SIZES))], np.zeros(len(SIZES), np.int32)

    def __init__(self, broken=None):
        self.broken, self.read = broken, []

    def __len__(self):
        return len(SIZES)

    def __getitem__(self, i):
        if i == self.broken:
            raise KeyboardInterrupt
        self.read.append(i)
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, bool)
        return Record(str(i), *nothing, image=np.full((*SIZES[i], 3), i, np.uint8))


def propose(params, photos, path, **changes):
    options = InputOptions(short_side=16, long_side=32, flip=True, max_gt=1, workers=2, use_difficult=False)
    split = Split(photos, options, eval_batch_size=2, search=None, mat_files=(), data_dir=path.parent)
    return rpn_proposals(STAGE, params, split, path, limits=LIMITS, **changes)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1)  # chunks of two images
    monkeypatch.setattr("jaxdet.io.progress.FIRST_LINE", 0)  # every line
    monkeypatch.setattr("jaxdet.io.progress.LINE_EVERY", 0)
    return tmp_path / "1_rpn" / "proposals_train.npz"


def assert_whole(table):
    assert len(table) == len(SIZES)
    for i, boxes in enumerate(table):
        np.testing.assert_array_equal(boxes, expected(i))


def test_every_image_has_its_proposals_in_the_order_of_the_split(path, caplog):
    caplog.set_level("INFO")
    photos = Photos()
    assert_whole(propose(PARAMS, photos, path))
    assert set(photos.read) == set(range(7))
    assert "1_rpn proposals_train 4/7" in caplog.messages and "1_rpn proposals_train 7/7" in caplog.messages
    photos.read.clear()
    assert_whole(propose(PARAMS, photos, path))
    assert not photos.read
    with np.load(path) as file:
        key = json.loads(str(file["key"]))
    assert key["method"] == "rpn" and key["steps"] == 7
    assert key["limits"] == LIMITS


def test_proposals_of_mirrored_images_are_mirrored_back(path):
    """The shade of image i is in its left column, and in the right one of a mirrored image; the boxes count it."""

    class LeftColumn(Photos):
        def __getitem__(self, i):
            record = super().__getitem__(i)
            record.image[:, 1:] = 0
            return record

    table = propose(PARAMS, LeftColumn(), path, mirrored=True)
    assert [len(boxes) for boxes in table] == [0] * 7  # the left column of the mirrored images has shade 0
    path = path.with_name("others.npz")
    table = propose(PARAMS, Photos(), path, mirrored=True)
    for i, boxes in enumerate(table):
        width, plain = SIZES[i][1], expected(i)
        np.testing.assert_array_equal(
            boxes, np.stack([width - plain[:, 2], plain[:, 1], width - plain[:, 0], plain[:, 3]], 1)
        )
    with pytest.raises(InputError, match="of other data or parameters: mirrored"):
        propose(PARAMS, Photos(), path)


def test_an_interrupted_pass_resumes_in_its_chunk(path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        propose(PARAMS, Photos(broken=5), path)
    assert (parts_folder(path) / "counts").stat().st_size == 4 * 8 and not path.exists()
    with (parts_folder(path) / "counts").open("r+b") as file:
        file.truncate(3 * 8)  # the kill came between two images of a chunk
    photos = Photos()
    assert_whole(propose(PARAMS, photos, path))
    assert set(photos.read) == {2, 3, 4, 5, 6}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_proposals_of_other_parameters_are_refused(path):
    other = {"rpn_conv": {"kernel": PARAMS["rpn_conv"]["kernel"] + np.float32(1e-6)}}
    with pytest.raises(KeyboardInterrupt):
        propose(PARAMS, Photos(broken=5), path)
    for _ in range(2):  # unfinished, then whole
        with pytest.raises(InputError, match="of other data or parameters: params must be '.*', got '.*'; delete it"):
            propose(other, Photos(), path)
        propose(PARAMS, Photos(), path)
