import logging

import cv2
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.proposals.file import open_proposals, parts_folder
from jaxdet.proposals.search import search_key, search_split
from jaxdet.proposals.selective_search import selective_search
from jaxdet.proposals.writer import ProposalWriter
from jaxdet.types import Record

SMALL = {"max_boxes": 50, "min_side": 10, "width": 100}


class Images:
    """Six images; 1 is too flat for a proposal, 3 cannot be decoded, and the disk fails at image `failing`."""

    fingerprint = "ab12"
    names = [f"image{i}" for i in range(6)]

    def __init__(self, failing: int = -1):
        self.failing = failing

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == self.failing:
            raise OSError(5, "Input/output error")
        if i == 3:
            raise cv2.error("imdecode: buf.empty()")
        image = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        image = cv2.resize(image, (100, 4 if i == 1 else 75), interpolation=cv2.INTER_NEAREST)
        empty = np.zeros(0)
        return Record(self.names[i], empty.reshape(0, 4), empty.astype(int), empty.astype(bool), image)


def test_a_resumed_search_by_several_processes_equals_a_search_in_this_process(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("jaxdet.io.progress.FIRST_LINE", 0)
    monkeypatch.setattr("jaxdet.io.progress.LINE_EVERY", 0)
    path, key = tmp_path / "train.npz", search_key(Images(), **SMALL)
    with ProposalWriter(path, key) as writer:
        writer.add(np.float32([[1, 2, 30, 40]]))
    caplog.set_level(logging.INFO)
    table = search_split(Images(), path, workers=2, **SMALL)
    assert "1 of 6 images of" in caplog.text
    assert "selective search 2/6" in caplog.messages and "selective search 6/6" in caplog.messages
    assert "1 images cannot be decoded, first image3" in caplog.text
    assert "2 of 6 images have none, first image1" in caplog.text
    assert table[0].tolist() == [[1, 2, 30, 40]]
    for i in (2, 4, 5):
        assert len(table[i]) > 5
        np.testing.assert_array_equal(table[i], selective_search(Images()[i].image, **SMALL))
    assert [len(table[1]), len(table[3])] == [0, 0]
    again = search_split(Images(failing=0), path, workers=1, **SMALL)  # nothing is read, nothing is searched
    np.testing.assert_array_equal(again.boxes, table.boxes)
    with pytest.raises(InputError, match="width must be 90, got 100"):
        search_split(Images(), path, workers=1, **SMALL | {"width": 90})


def test_the_key_names_segment_sizes_only_where_they_are_set():
    """So that a file of before segment_sizes existed is still read."""
    assert search_key(Images(), **SMALL, segment_sizes=()) == search_key(Images(), **SMALL)
    assert search_key(Images(), **SMALL, segment_sizes=(50, 100))["segment_sizes"] == (50, 100)


def test_a_disk_error_is_not_taken_for_an_image_without_objects(tmp_path):
    path = tmp_path / "train.npz"
    with pytest.raises(OSError, match="Input/output error"):
        search_split(Images(failing=0), path, workers=1, **SMALL)
    with pytest.raises(InputError, match="6 of 6 images lack proposals"):
        open_proposals(path, search_key(Images(), **SMALL))


@pytest.mark.parametrize(
    ("name", "value", "got", "least"),
    [
        ("workers", 0, 0, 1),
        ("max_boxes", -5, -5, 1),
        ("min_side", -1, -1, 0),
        ("width", 0, 0, 1),
        ("segment_sizes", (50, 0), 0, 1),
    ],
)
def test_numbers_too_small_for_any_box_are_refused_at_once(tmp_path, name, value, got, least):
    with pytest.raises(InputError, match=f"proposals.{name} must be at least {least}, got {got}; "):
        search_split(Images(), tmp_path / "train.npz", **SMALL | {"workers": 1, name: value})
    assert not list(tmp_path.iterdir())


def test_parts_that_a_kill_left_beside_a_finished_file_are_removed(tmp_path):
    path, key = tmp_path / "train.npz", search_key(Images(), **SMALL)
    with ProposalWriter(path, key) as writer:
        for _ in range(6):
            writer.add(np.zeros((1, 4), np.float32))
        writer.finish()
    parts_folder(path).mkdir()
    (parts_folder(path) / "counts").touch()
    search_split(Images(), path, workers=1, **SMALL)
    assert list(tmp_path.iterdir()) == [path]
