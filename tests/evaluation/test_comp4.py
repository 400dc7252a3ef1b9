"""PASCAL's result files."""

import urllib.parse

import pytest

from jaxdet.evaluation.comp4 import comp4_files, write_comp4
from tests.evaluation.conftest import NAMES, opened


def test_result_files_hold_1_based_inclusive_pixels(detections, tmp_path):
    write_comp4(opened(tmp_path), comp4_files("test", NAMES), detections, ["2007_1", "2007_2"])
    assert sorted(p.name for p in tmp_path.glob("*.txt")) == sorted(f"comp4_det_test_{name}.txt" for name in NAMES)
    assert (tmp_path / "comp4_det_test_cat.txt").read_text().splitlines() == [
        "2007_1 0.900 1.0 1.0 50.0 50.0",
        "2007_2 0.123 11.0 21.0 30.0 40.0",
    ]
    assert (tmp_path / "comp4_det_test_potted plant.txt").read_text() == ""


def test_characters_of_a_class_name_that_no_file_name_has_are_encoded():
    names = ("cabinet/shelf", "a\\b", "potted plant", "étoile", "100%")
    assert comp4_files("test", names) == [
        "comp4_det_test_cabinet%2Fshelf.txt",
        "comp4_det_test_a%5Cb.txt",
        "comp4_det_test_potted plant.txt",
        "comp4_det_test_étoile.txt",
        "comp4_det_test_100%25.txt",
    ]


@pytest.mark.parametrize("name", ["my photo (5)", "100% %20", "a\tb\u2028c\u00a0d", "étoile", "2007_1", "caf\udce9 x"])
def test_image_names_survive_the_columns_of_result_files(detections, tmp_path, name, caplog):
    write_comp4(opened(tmp_path), comp4_files("test", NAMES), detections, [name, "2007_2"])
    text = (tmp_path / "comp4_det_test_cat.txt").read_text(encoding="utf-8")
    (first, *columns), _ = [line.split() for line in text.splitlines()]
    assert urllib.parse.unquote(first, errors="surrogateescape") == name
    assert columns == ["0.900", "1.0", "1.0", "50.0", "50.0"]
    assert ("percent-encoded, in 1 names" in caplog.text) == (first != name)
