import errno
import os
import unicodedata

import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.file_index import FileIndex, list_files, list_names
from jaxdet.data.datasets.xml_file import Unusable


@pytest.fixture
def index(tmp_path):
    """Return a function: paths -> the index of a folder with these files."""

    def create(*paths):
        for path in paths:
            file = tmp_path / "Images" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return FileIndex(tmp_path / "Images", (".jpg", ".bmp"), "image")

    return create


@pytest.mark.parametrize(
    ("path", "listed"),
    [
        ("a.jpg", "a"),
        ("a.BMP", "a"),
        ("a.jpg", "a.jpg"),
        ("a.jpg", "a.JPG"),
        ("a.jpg", "A"),
        ("a.jpg", "/data/Images/a.jpg"),
        ("a.jpg", "..\\Images\\a.jpg"),
        ("a.jpg", "./a"),
        ("a.b.jpg", "a.b"),
        ("day1/a.jpg", "day1/a"),
        ("day1/a.jpg", "Images/Day1/a.jpg"),
        ("day1/a.jpg", "a"),
        (unicodedata.normalize("NFD", "\ud55c\u00e9.jpg"), unicodedata.normalize("NFC", "\ud55c\u00e9")),
        (unicodedata.normalize("NFC", "\u00e9.jpg"), unicodedata.normalize("NFD", "\u00e9.JPG")),
    ],
)
def test_a_file_is_found_as_it_is_listed(index, tmp_path, path, listed):
    assert index(path, "other.jpg").find(listed) == (path.rpartition(".")[0], tmp_path / "Images" / path)


def test_the_exact_name_comes_first(index):
    files = index("a.jpg", "A.jpg", "a.jpg.jpg", "day1/a.jpg")
    assert [files.find(name)[0] for name in ("a", "A", "a.jpg", "day1/a")] == ["a", "A", "a.jpg", "day1/a"]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("b", "image may be any of B, b: name"),
        ("c", "image may be any of day1/c, day2/c: name its folder"),
        ("day3/c", "image missing from Images"),
        ("d", "image has the suffix '.heic', not one of .jpg, .bmp"),
        ("../../etc/passwd", "image missing from Images"),
        ("..", "image missing from Images"),
        ("*", "image missing from Images"),
    ],
)
def test_a_file_that_is_not_found_is_named_with_the_reason(index, listed, reason):
    files = index("B.jpg", "b.bmp", "day1/c.jpg", "day2/c.jpg", "d.heic")
    with pytest.raises(Unusable) as error:
        files.find("B.BMP" if listed == "b" else listed)
    assert str(error.value).startswith(reason)


def test_the_annotation_of_another_folder_is_not_taken(index):
    files = index("a.jpg", "Day1/b.jpg")
    assert files.find_same("day1/B").name == "b.jpg"
    for name in ("day1/a", "b"):
        with pytest.raises(Unusable, match="missing"):
            files.find_same(name)


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "top/inner").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").touch()
    (tmp_path / "top/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top/inner/loop").symlink_to(tmp_path / "top")
    assert list_files(tmp_path / "top") == ["link/a.jpg"]


def test_an_annotation_that_may_be_one_of_several_is_not_called_missing(index):
    with pytest.raises(Unusable, match="image may be any of CAT, Cat: name its folder"):
        index("Cat.jpg", "CAT.jpg").find_same("cat")


def test_a_folder_that_cannot_be_opened_is_refused(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="closed must be a folder that you can open, got Permission denied"):
        list_files(tmp_path)
    with pytest.raises(InputError, match="got Permission denied; change its permissions"):
        list_names(tmp_path / "closed")
    assert list_files(tmp_path / "gone") == list_names(tmp_path / "gone") == []
