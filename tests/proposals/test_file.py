import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.proposals.file import open_proposals, save_proposals
from jaxdet.proposals.writer import ProposalWriter
from jaxdet.types import ProposalTable

KEY = {"method": "rpn", "dataset": "ab12", "images": 3, "sizes": (1, 2)}
TABLE = ProposalTable(np.arange(20, dtype=np.float32).reshape(5, 4), np.array([0, 2, 2, 5]))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new" / "train.npz"
    save_proposals(path, TABLE, KEY)
    return path


def test_a_table_returns_the_boxes_of_each_image():
    assert len(TABLE) == 3
    assert [boxes.tolist() for boxes in TABLE] == [TABLE.boxes[:2].tolist(), [], TABLE.boxes[2:].tolist()]
    for i in (-1, 3):
        with pytest.raises(IndexError, match=f"image must be in 0..2, got {i}"):
            TABLE[i]


def test_saved_proposals_are_read(path):
    table = open_proposals(path, KEY)
    np.testing.assert_array_equal(table.boxes, TABLE.boxes)
    np.testing.assert_array_equal(table.starts, TABLE.starts)
    assert table.boxes.dtype == np.float32
    assert [file.name for file in path.parent.iterdir()] == ["train.npz"]


def test_another_key_is_refused_with_every_difference(path):
    with pytest.raises(InputError, match="of other data or parameters") as error:
        open_proposals(path, {"method": "rpn", "dataset": "cd34", "images": 3, "top": 5})
    assert "dataset must be 'cd34', got 'ab12'" in str(error.value)
    assert "top must be 5, got None" in str(error.value)
    assert "sizes must be None, got [1, 2]" in str(error.value)
    assert "method" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="val.npz must be a file of proposals, got none; make it first"):
        open_proposals(tmp_path / "val.npz", KEY)


def test_images_without_proposals_are_counted(tmp_path):
    with ProposalWriter(tmp_path / "val.npz", KEY) as writer:
        writer.add(TABLE[0])
    with pytest.raises(InputError, match="an unfinished one: 2 of 3 images lack proposals"):
        open_proposals(tmp_path / "val.npz", KEY)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "array", "other"])
def test_damaged_files_are_refused(path, damage):
    content = path.read_bytes()
    middle = content.index(TABLE.boxes.tobytes())
    if damage == "other":
        np.savez(path, weights=TABLE.boxes)
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, TABLE.boxes)
    else:
        flipped = content[:middle] + b"\x55" + content[middle + 1 :]
        path.write_bytes({"empty": b"", "cut": content[:-50], "flipped": flipped, "text": b"boxes\n"}[damage])
    with pytest.raises(InputError, match="must be a file of proposals.*delete it and run again"):
        open_proposals(path, KEY)


def test_boxes_that_do_not_fit_the_images_are_refused(tmp_path):
    save_proposals(tmp_path / "a.npz", ProposalTable(TABLE.boxes[:4], TABLE.starts), KEY)
    with pytest.raises(InputError, match="must cover 3 images, got 3 images and 4 boxes that do not fit"):
        open_proposals(tmp_path / "a.npz", KEY)
    with pytest.raises(ValueError, match="table must cover 4 images, got 3"):
        save_proposals(tmp_path / "b.npz", TABLE, KEY | {"images": 4})


def test_a_disk_error_leaves_no_partial_file(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_proposals(path, ProposalTable(TABLE.boxes[:0], np.zeros(4, np.int64)), KEY)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["train.npz"]
