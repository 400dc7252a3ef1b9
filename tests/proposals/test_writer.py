import shutil

import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.proposals import writer as module
from jaxdet.proposals.file import open_proposals, parts_folder
from jaxdet.proposals.writer import ProposalWriter

KEY = {"dataset": "ab12", "images": 4}
IMAGES = [np.random.default_rng(n).random((n, 4), np.float32) for n in (3, 0, 2, 5)]


def add(path, images, key=KEY):
    with ProposalWriter(path, key) as writer:
        for boxes in images:
            writer.add(boxes)
        return writer.done


def assert_complete(path):
    with ProposalWriter(path, KEY) as writer:
        for boxes in IMAGES[writer.done :]:
            writer.add(boxes)
        written = writer.finish()
    for table in (written, open_proposals(path, KEY)):
        assert len(table) == 4
        for got, want in zip(table, IMAGES, strict=True):
            np.testing.assert_array_equal(got, want)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_images_are_written_in_order(tmp_path):
    assert_complete(tmp_path / "a.npz")


# What may lie there after a kill: bytes cut off (negative) or added to the file of boxes and to that of counts, and
# the number of images that are done. A box has 16 bytes, a count 8; images 0, 1 and 2 (3, 0 and 2 boxes) were added.
@pytest.mark.parametrize(
    ("boxes", "counts", "done"),
    [(0, 0, 3), (7, 0, 3), (80, 0, 3), (80, 5, 3), (0, -8, 2), (0, -3, 2), (-1, 0, 2), (-33, 0, 0), (-80, 0, 0)],
)
def test_a_killed_run_is_resumed(tmp_path, boxes, counts, done):
    path = tmp_path / "a.npz"
    assert add(path, IMAGES[:3]) == 3
    for name, change in (("boxes", boxes), ("counts", counts)):
        file = parts_folder(path) / name
        content = file.read_bytes()
        file.write_bytes(content[:change] if change < 0 else content + b"\x07" * change)
    assert add(path, []) == done
    assert_complete(path)


def test_a_kill_before_the_parts_are_removed_is_harmless(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "rmtree", lambda folder, **_: None)
    with ProposalWriter(tmp_path / "a.npz", KEY) as writer:
        for boxes in IMAGES:
            writer.add(boxes)
        writer.finish()
    monkeypatch.undo()
    assert_complete(tmp_path / "a.npz")


def test_an_unfinished_file_of_another_key_is_refused_and_stays(tmp_path):
    path = tmp_path / "a.npz"
    add(path, IMAGES[:2])
    with pytest.raises(InputError, match=r"a.npz.parts is of other data.*dataset must be 'ef', got 'ab12'"):
        ProposalWriter(path, KEY | {"dataset": "ef"})
    assert add(path, []) == 2


def test_an_unfinished_file_with_a_damaged_key_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    add(path, IMAGES[:2])
    (parts_folder(path) / "key.json").write_bytes(b"")
    with pytest.raises(InputError, match=r"key.json must say what the folder depends on.*delete the folder"):
        ProposalWriter(path, KEY)


def test_parts_without_images_accept_another_key(tmp_path):
    add(tmp_path / "a.npz", [], KEY | {"dataset": "ef"})
    assert_complete(tmp_path / "a.npz")


def test_one_writer_at_a_time(tmp_path):
    with ProposalWriter(tmp_path / "a.npz", KEY), pytest.raises(InputError, match="another process is writing"):
        ProposalWriter(tmp_path / "a.npz", KEY)


def test_finishing_before_the_last_image_is_refused(tmp_path):
    with ProposalWriter(tmp_path / "a.npz", KEY) as writer, pytest.raises(ValueError, match="4 images .* got 0"):
        writer.finish()


def test_a_full_disk_is_reported_and_the_images_done_stay(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"

    def full(file, content):
        file.write(content[:20])  # a disk takes what still fits
        raise OSError(28, "No space left on device")

    with ProposalWriter(path, KEY) as writer:
        writer.add(IMAGES[0])
        with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left.*same command resumes"):
            patch.setattr(module, "_append", full)
            writer.add(IMAGES[2])
    assert add(path, []) == 1
    assert_complete(path)


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must be writable, got a file in its place"):
        ProposalWriter(tmp_path / "file" / "a.npz", KEY)


def test_partial_writes_are_completed():
    class Slow:
        content = b""

        def write(self, view):
            self.content += bytes(view[:3])
            return min(len(view), 3)

    file = Slow()
    module._append(file, b"0123456789")
    assert file.content == b"0123456789"


def test_a_folder_removed_meanwhile_is_one_line(tmp_path):
    with ProposalWriter(tmp_path / "run" / "a.npz", KEY) as writer:
        for boxes in IMAGES:
            writer.add(boxes)
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(InputError, match="a.npz must be writable, got No such file or directory"):
            writer.finish()
