import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets import yolo_yaml
from jaxdet.data.datasets.yolo_yaml import locate, parse_classes, read_data_yaml
from tests.folders import write


def test_names_may_be_a_list_or_by_index(tmp_path):
    write(
        tmp_path, {"a.yaml": "names: [cat, 7]\n", "b.yaml": b"\xef\xbb\xbfnames:\r\n  3: ' red  cell '\r\n  0: cat\r\n"}
    )
    assert read_data_yaml(tmp_path / "a.yaml").names == {0: "cat", 1: "7"}
    assert read_data_yaml(tmp_path / "b.yaml").names == {0: "cat", 3: "red cell"}


def test_splits_that_are_empty_are_left_out(tmp_path):
    write(
        tmp_path,
        {"data.yaml": "names: [cat]\npath: x\ntrain: [a, b]\nval: c\ntest:\ndownload: rm\nkpt_shape: [1, 2]\n"},
    )
    data = read_data_yaml(tmp_path / "data.yaml")
    assert (data.splits, data.root, data.keypoints) == ({"train": ("a", "b"), "val": ("c",)}, "x", True)


def test_a_path_is_looked_for_from_both_roots_and_without_its_first_folders(tmp_path):
    write(tmp_path, {"set/data.yaml": "", "set/train/images/a.md": "", "other/val/a.md": ""})
    folder = tmp_path / "set"
    for written in ("train/images", "./train/images", "../train/images", "/content/x/train/images", "x\\train\\images"):
        assert locate(written, "", folder) == folder / "train/images"
    assert locate("val", "../other", folder) == tmp_path / "other/val"
    for written in ("nowhere", "x" * 5000, "a\0b"):
        assert locate(written, "", folder) is None


REFUSED = {
    "a list": ("- cat\n- dog\n", "it has no names"),
    "empty": ("", "it has no names"),
    "python": ("names: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    "broken": ("names: [cat\n", "must name the classes"),
    "control characters": (b"names: [a\x00]\n", "must name the classes"),
    "latin-1": ("names: [caf\u00e9]\n".encode("latin-1"), "must name the classes"),
    "nested": ("names: " + "[" * 600 + "\n", "must name the classes"),
    "a date": ("names: [2020-99-99]\n", "must name the classes"),
    "no names": ("train: images/train\n", "its names are no list of class names"),
    "a text": ("names: cat, dog\n", "its names are no list of class names"),
    "a Norwegian": ("names: [se, no]\n", "the name of class 1 is no text; put it in quotes"),
    "a list of lists": ("names: [[cat]]\n", "the name of class 0 is no text"),
    "indices": ("names: {cat: 0}\n", "an index that is no whole number"),
    "empty name": ("names: [cat, '']\n", "the name of class 1 is empty"),
    "train a number": ("names: [cat]\ntrain: 3\n", "its train is no path and no list of paths"),
    "train a mapping": ("names: [cat]\ntrain: {a: b}\n", "its train is no path and no list of paths"),
    "path a list": ("names: [cat]\npath: [a]\n", "its path is no text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_data_yaml_is_refused_with_its_reason(tmp_path, case):
    content, reason = REFUSED[case]
    write(tmp_path, {"data.yaml": content})
    with pytest.raises(InputError, match=reason) as error:
        read_data_yaml(tmp_path / "data.yaml")
    assert str(tmp_path / "data.yaml") in str(error.value)


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(yolo_yaml, "MAX_BYTES", 5)
    write(tmp_path, {"data.yaml": "names: [cat]\n", "classes.txt": "cat\ndog\n"})
    for read in (lambda: read_data_yaml(tmp_path / "data.yaml"), lambda: parse_classes(tmp_path / "classes.txt")):
        with pytest.raises(InputError, match="more than 5"):
            read()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"cat\n\ndog", "caf\u00e9".encode("latin-1"), b"cat\nN/A"])
def test_a_wrong_classes_txt_is_refused(tmp_path, content):
    write(tmp_path, {"classes.txt": content})
    with pytest.raises(InputError, match="classes.txt must name the classes"):
        parse_classes(tmp_path / "classes.txt")
