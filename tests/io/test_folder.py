import errno
import os
from pathlib import Path

import pytest

from jaxdet.checks import InputError
from jaxdet.io.folder import cannot_write, full_path, make_writable, remove_folder, unwritable


def test_a_folder_is_created_and_stays_empty(tmp_path):
    folder = make_writable(tmp_path / "a" / "b", cure="give another")
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []
    assert make_writable(folder, cure="give another") == folder


def test_a_folder_that_cannot_be_created_is_refused_with_the_cure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/b must be writable, got a file in its place; give another --workdir.$"):
        make_writable(tmp_path / "file" / "b", cure="give another --workdir")


def test_a_folder_has_one_full_path(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    monkeypatch.chdir(tmp_path / "home")
    for path in ("../data", "../data/", "../data/.", "../home/../data", "../link/../data", tmp_path / "data"):
        assert full_path(path) == tmp_path / "data"
    assert full_path("..") == tmp_path and full_path("/") == Path("/")


def test_the_full_path_of_a_link_keeps_its_name(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/x1").touch()
    (tmp_path / "train.json").symlink_to("store/x1")
    assert full_path(tmp_path / "train.json") == tmp_path / "train.json"


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, True), (errno.EROFS, True), (errno.EIO, False)])
def test_only_errors_of_the_chosen_folder_count(number, expected):
    assert cannot_write(OSError(number, os.strerror(number))) is expected


def test_the_error_names_the_file_the_reason_and_the_cure():
    error = unwritable("proposals: a.npz", OSError(28, "No space left on device"), cure="free space")
    assert str(error) == "proposals: a.npz must be writable, got No space left on device; free space."


def test_files_of_a_removed_folder_are_emptied_first(tmp_path):
    """A file that was opened before shows the content at removal."""
    folder = tmp_path / "12"
    (folder / "params").mkdir(parents=True)
    (folder / "params/data").write_bytes(b"numbers")
    with (folder / "params/data").open("rb") as bin_of_drive:
        remove_folder(folder)
        assert bin_of_drive.read() == b""
    assert not folder.exists()


def test_removing_a_folder_leaves_what_has_another_name(tmp_path):
    folder, own = tmp_path / "12", tmp_path / "own"
    folder.mkdir()
    own.write_bytes(b"numbers")
    os.link(own, folder / "hard")
    (folder / "symbolic").symlink_to(own)
    remove_folder(folder)
    remove_folder(folder, ignore_errors=True)  # nothing is there
    assert own.read_bytes() == b"numbers" and not folder.exists()
