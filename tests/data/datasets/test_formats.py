import shutil

import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.folder_splits import choose_images
from jaxdet.data.datasets.formats import has_split, list_visible, open_folder
from tests.folders import voc_xml, write

CAT = voc_xml(("cat", 11, 6, 30, 40))


def test_a_folder_in_voc_layout_is_read_by_its_lists(devkit):
    devkit.split("train", "a")
    assert open_folder(str(devkit.folder.parents[1])).name == "VOC layout"


@pytest.mark.parametrize("name", ["VOC layout", "VOC XML"])
def test_a_relative_path_names_the_folder_that_its_full_path_names(devkit, monkeypatch, name):
    devkit.image("a")
    devkit.annotation("a", ("cat", 1, 1, 9, 9))
    if name == "VOC layout":
        devkit.split("train", "a")
    else:
        shutil.rmtree(devkit.folder / "ImageSets")
    (devkit.folder.parent / "elsewhere").mkdir()
    monkeypatch.chdir(devkit.folder.parent / "elsewhere")
    opened = open_folder(f"../{devkit.folder.name}")
    assert (opened.name, opened.folder) == (name, devkit.folder)


def test_the_one_list_of_cvat_is_not_a_split(devkit):
    devkit.split("default", "a", "b", "c", "d")
    folder = open_folder(str(devkit.folder))
    assert sorted(len(choose_images(folder, split).images) for split in ("train", "val", "test")) == [1, 1, 2]


def test_voc_layout_without_its_lists_is_read_by_its_files(devkit):
    for name in ("a", "b"):
        devkit.image(name)
        devkit.annotation(name, ("cat", 1, 1, 9, 9))
    shutil.rmtree(devkit.folder / "ImageSets")
    folder = open_folder(str(devkit.folder.parents[1]))
    assert (folder.name, folder.folder) == ("VOC XML", devkit.folder)


@pytest.mark.parametrize(("lists", "has"), [(("train", "val"), [True, True, False]), (("default",), [True] * 3)])
def test_a_folder_has_the_splits_of_its_lists_or_sampled_ones(devkit, lists, has):
    for name in lists:
        devkit.split(name, "a", "b", "c", "d")
    assert [has_split(str(devkit.folder), split) for split in ("train", "val", "test")] == has


def test_no_folder_and_no_data_set_are_refused(tmp_path):
    with pytest.raises(InputError, match="none is named"):
        open_folder("")
    with pytest.raises(InputError, match="there is no folder"):
        open_folder(str(tmp_path / "gone"))
    write(tmp_path, {"a.jpg": "", "b/c.txt": "text"})
    with pytest.raises(InputError, match="no data set in a known format, got 2 files, 1 of them images"):
        open_folder(str(tmp_path))


def test_results_and_prepared_copies_inside_the_folder_are_no_data(tmp_path):
    write(tmp_path, {"a.jpg": "", "a.xml": CAT, ".cache/b.jpg": ""})
    write(tmp_path, {"data/devkit/preparing.lock": "", "data/devkit/copy/b.json": "{}"})
    write(tmp_path, {"runs/evaluation/.jaxdet-files": "{}", "runs/evaluation/pictures/a.jpg": ""})
    assert list_visible(tmp_path) == ["a.jpg", "a.xml"]
