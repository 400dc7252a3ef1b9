import os

import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.folder_format import fingerprint
from jaxdet.data.datasets.voc_layout import (
    VocLayout,
    files_of,
    find_class_names,
    find_devkit,
    find_splits,
    read_split,
)


def test_the_folder_is_found_from_one_above_it(devkit):
    for path in (devkit.folder, devkit.folder.parent, devkit.folder.parents[1]):
        assert find_devkit(str(path)) == devkit.folder


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no folder .*VOC2012.*VOC layout"):
        find_devkit(str(tmp_path / "VOC2012"))
    with pytest.raises(InputError, match="none is named"):
        find_devkit("")


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match="one folder with ImageSets/Main, found none"):
        find_devkit(str(tmp_path))


def test_two_devkits_in_one_folder_are_refused(devkit):
    (devkit.folder.parent / "VOC2031" / "ImageSets/Main").mkdir(parents=True)
    with pytest.raises(InputError, match="VOC2030, .*VOC2031; name the one you mean"):
        find_devkit(str(devkit.folder.parent))


def test_a_folder_that_lacks_a_part_is_refused(devkit):
    (devkit.folder / "JPEGImages").rmdir()
    with pytest.raises(InputError, match="has no folder JPEGImages"):
        find_devkit(str(devkit.folder))


def test_a_folder_without_annotations_is_found_where_none_are_needed(devkit):
    (devkit.folder / "Annotations").rmdir()
    assert find_devkit(str(devkit.folder), annotated=False) == devkit.folder
    with pytest.raises(InputError, match="has no folder Annotations"):
        find_devkit(str(devkit.folder))


def is_annotated(folder, split):
    return any(image.is_annotated() for image in VocLayout(folder).images(split))


def hash_of(folder, *settings):
    return fingerprint(folder, files_of(folder), *settings)


def test_a_split_is_annotated_if_one_image_has_an_annotation_of_any_format(devkit):
    for name in ("a", "b", "c"):
        devkit.image(name)
    devkit.split("test", "gone", "a", "b.jpg")
    devkit.annotation("c", ("dog", 1, 1, 9, 9))
    assert not is_annotated(devkit.folder, "test")
    for file in ("b.xml", "B.json"):
        (devkit.folder / "Annotations" / file).touch()
        assert is_annotated(devkit.folder, "test")
        (devkit.folder / "Annotations" / file).unlink()
    (devkit.folder / "Annotations/c.xml").unlink()
    (devkit.folder / "Annotations").rmdir()
    assert not is_annotated(devkit.folder, "test")


def test_lists_of_single_classes_are_not_splits(devkit):
    for split in ("train", "val", "my_split", "aeroplane_train", "dining_table_val"):
        devkit.split(split, "a")
    assert find_splits(devkit.folder) == ("my_split", "train", "val")


def test_split_files_are_read_in_order(devkit):
    (devkit.folder / "ImageSets/Main/train.txt").write_bytes(b"\xef\xbb\xbfb\r\na 1\r\n\r\n")
    assert read_split(devkit.folder, "train") == ["b", "a 1"]


def test_a_split_may_be_named_like_the_list_of_a_class(devkit):
    devkit.split("train", "a")
    devkit.split("small_train", "b")
    assert read_split(devkit.folder, "small_train") == ["b"]


def test_a_split_file_of_another_encoding_is_refused(devkit):
    (devkit.folder / "ImageSets/Main/train.txt").write_bytes("caf\u00e9\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.txt must be UTF-8 text, .*0xe9.*; save it as UTF-8"):
        read_split(devkit.folder, "train")


def test_the_error_for_a_missing_split_names_the_nearest(devkit):
    devkit.split("train", "a")
    devkit.split("val", "b")
    with pytest.raises(InputError, match="no split file .*trian.txt; did you mean 'train'"):
        read_split(devkit.folder, "trian")


def test_an_empty_split_is_refused(devkit):
    devkit.split("train")
    with pytest.raises(InputError, match="train.txt lists no image"):
        read_split(devkit.folder, "train")


def test_class_names_come_from_all_annotations(devkit):
    devkit.annotation("a", ("dog", 1, 1, 9, 9), ("Cat", 1, 1, 9, 9))
    devkit.annotation("b", ("dog", 1, 1, 9, 9), ("red cell", 1, 1, 9, 9))
    (devkit.folder / "Annotations" / "broken.xml").write_text("<")
    assert find_class_names(devkit.folder) == ("Cat", "dog", "red cell")


def test_annotations_without_any_class_are_refused(devkit):
    devkit.annotation("a")
    with pytest.raises(InputError, match="no annotation in .* names an object; VOC's XML"):
        find_class_names(devkit.folder)
    (devkit.folder / "Annotations/b.xml").write_text("<annotation>\n<filename>cats & dogs.jpg</filename></annotation>")
    with pytest.raises(
        InputError, match=r"1 of 2 cannot be used, the first is b.xml: .*does not parse .*line 2, column"
    ):
        find_class_names(devkit.folder)


def test_annotations_in_subfolders_and_of_other_letter_case_name_classes(devkit):
    (devkit.folder / "Annotations/day1").mkdir()
    devkit.annotation("day1/a", ("dog", 1, 1, 9, 9)).rename(devkit.folder / "Annotations/day1/a.XML")
    assert find_class_names(devkit.folder) == ("dog",)
    before = hash_of(devkit.folder)
    devkit.annotation("day1/b", ("cat", 1, 1, 9, 9))
    assert hash_of(devkit.folder) != before


def test_a_split_file_that_is_a_pipe_is_refused(devkit):
    os.mkfifo(devkit.folder / "ImageSets/Main/train.txt")
    with pytest.raises(InputError, match="train.txt cannot be read .is a named pipe, not a file"):
        read_split(devkit.folder, "train")
