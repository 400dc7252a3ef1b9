import pytest

from jaxdet.evaluation.whole_file import write_whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "étoile.txt"
    write_whole(path, "étoile\n")
    assert path.read_text(encoding="utf-8") == "étoile\n"
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half of it, then \ud800")
    assert path.read_text(encoding="utf-8") == "étoile\n"
    assert list(path.parent.iterdir()) == [path]
