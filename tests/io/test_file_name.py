import pytest

from jaxdet.io.file_name import safe_file_name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("comp4_det_test_potted plant", "comp4_det_test_potted plant.txt"),
        ("cabinet/shelf", "cabinet%2Fshelf.txt"),
        ("../../escaped", "%2E.%2F..%2Fescaped.txt"),
        ("100%", "100%25.txt"),
        ("a\\b:c\n", "a%5Cb%3Ac%0A.txt"),
        ("\u6d4b\u8bd5", "\u6d4b\u8bd5.txt"),
    ],
)
def test_a_name_is_safe_and_readable(tmp_path, stem, name):
    assert safe_file_name(stem, ".txt") == name
    (tmp_path / name).touch()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_long_names_stay_different(tmp_path):
    names = {safe_file_name("\u6d4b" * 100 + end, ".txt") for end in ("a", "b", "a/", "a%2F")}
    assert len(names) == 4
    for name in names:
        (tmp_path / f".{name}").touch()
