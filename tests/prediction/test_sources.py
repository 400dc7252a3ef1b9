"""Sources of prediction, from the arguments of predict."""

import errno
import os

import numpy as np
import pytest

from jaxdet import predict
from jaxdet.checks import InputError
from jaxdet.io.output_folder import OutputFolder
from jaxdet.prediction.sources import Source, find_sources
from jaxdet.visualize import encode_png
from tests.io.test_download import serving


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def places(*arguments):
    return [source.place for source in find_sources(list(map(str, arguments)))]


def test_files_and_folders_of_any_depth_are_listed_in_order(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", "deeper/c.png", "deeper/still/d.mp4")
    sources = find_sources([str(tmp_path / "deeper" / ".." / "b.JPG"), str(tmp_path)])
    assert [source.path.name for source in sources] == ["b.JPG", "a.png", "c.png", "d.mp4"]  # each once
    assert [source.place for source in sources] == ["b", "a", "deeper/c", "deeper/still/d"]
    assert [source.is_video for source in sources] == [False] * 3 + [True]
    assert [path.name for path in predict.find_images([str(tmp_path)])] == ["a.png", "b.JPG", "c.png"]


def test_missing_paths_are_named(tmp_path):
    with pytest.raises(InputError, match="photos: none given; name files or folders, as in: predict.py"):
        find_sources([])
    with pytest.raises(InputError, match="photos: there is no file or folder nowhere.jpg; name photos"):
        find_sources(["nowhere.jpg"])
    with pytest.raises(InputError, match="photos: no photo in .*; looked for .jpg"):
        find_sources([str(tmp_path)])
    with pytest.raises(InputError, match="photos: nothing fits .*jpg'; looked for .jpg"):
        find_sources([str(tmp_path / "*.jpg")])


def test_every_image_of_a_folder_is_read_or_named_and_the_rest_is_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    touch(tmp_path, "a.gif", "b.jfif", "c.JPE", "d.heic", "e.CR2", "notes.txt", ".hidden.jpg", "f.avif", ".git/g.jpg")
    touch(tmp_path, "more/x.xml")
    (tmp_path / "link").symlink_to(tmp_path)
    assert places(tmp_path) == ["a", "b", "c", "f"]
    assert "2 images of formats that are not read: d.heic, e.CR2; convert them to JPEG" in caplog.text
    assert "2 other files ignored" in caplog.text
    assert "1 links to folders not followed" in caplog.text


def test_results_of_earlier_runs_in_subfolders_are_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    touch(tmp_path, "a.jpg", "detections/photo.jpg")
    output = OutputFolder(tmp_path / "detections", cure="")
    for name in ("a.png", "crops/cat/a-1.png"):
        output.write(name, b"drawn")
    assert places(tmp_path) == ["a", "detections/photo"]
    assert "2 results of jaxdet ignored" in caplog.text
    assert places(tmp_path / "**/*") == ["a", "detections/photo"]


def test_a_folder_that_cannot_be_opened_is_named_and_counts(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    _, locked = find_sources([str(tmp_path)])
    with pytest.raises(InputError, match="folder .*locked: cannot be opened; change its permissions"):
        locked.read_image(max_pixels=100)


def test_globs_keep_the_subfolders_below_their_fixed_part(tmp_path, monkeypatch):
    touch(tmp_path, "day1/a.jpg", "day1/noon/b.jpg", "day2/a.jpg", "day2/n.txt", "c[1].jpg")
    assert places(tmp_path / "**/*.jpg") == ["c[1]", "day1/a", "day1/noon/b", "day2/a"]
    assert places(tmp_path / "day*/*") == ["day1/a", "day2/a", "day1/noon/b"]
    assert places(tmp_path / "day*") == ["day1/a", "day1/noon/b", "day2/a"]
    (tmp_path / "day3").mkdir()  # an empty one is no error
    assert places(tmp_path / "day*") == ["day1/a", "day1/noon/b", "day2/a"]
    assert places(tmp_path / "c[1].jpg") == ["c[1]"]  # a file of this name
    monkeypatch.chdir(tmp_path)
    assert places("*/a.jpg") == ["day1/a", "day2/a"]
    assert places("*/../day1/a.jpg")[0] == "day1/day1/a"  # never out of the output folder


def test_bytes_that_are_not_utf_8_stay_in_names(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    touch(tmp_path, f"{name}/{name}.jpg")
    (source,) = find_sources([str(tmp_path)])
    assert source.place == f"{name}/{name}" and source.path.exists()


def test_an_image_is_read_by_its_address(tmp_path):
    content = encode_png(np.full((4, 6, 3), 7, np.uint8))
    with serving(content=content) as (address, _):
        (source,) = find_sources([f"{address}/a%20photo.png?size=large"])
        assert source.place == "a photo" and source.path is None
        assert source.read_image(max_pixels=100).shape == (4, 6, 3)
        with pytest.raises(InputError, match="has 6 x 4 pixels, more than max_pixels = 10"):
            source.read_image(max_pixels=10)
    with pytest.raises(InputError, match="image http://.*: cannot be fetched (.*refused.*); check the address"):
        source.read_image(max_pixels=100)


def test_places_of_addresses_are_file_names():
    assert places("https://a.org/x/cat.jpg", "http://a.org", "HTTPS://a.org/..%2F..%2Fetc") == ["cat", "image", "etc"]
    assert not Source("https://a.org/film.mp4", "film").is_video
