import json
import logging

import pytest

from jaxdet.checks import InputError
from jaxdet.data.datasets.prepared_copy import check_files, preparing, report_earlier, write_manifest


def test_a_changed_or_missing_file_is_named(tmp_path):
    check_files(tmp_path)  # nothing is listed
    (tmp_path / "a.txt").write_text("content")
    write_manifest(tmp_path)
    check_files(tmp_path)
    (tmp_path / "a.txt").write_text("kontent")
    with pytest.raises(InputError, match="got damage .a.txt is not as it was written.; delete the folder"):
        check_files(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match="a.txt is missing"):
        check_files(tmp_path)
    for content in ("{", "[]", json.dumps({"a.txt": 1})):
        (tmp_path / "files.json").write_text(content)
        with pytest.raises(InputError, match="must be whole"):
            check_files(tmp_path)


def test_what_a_stopped_preparation_left_is_removed_unless_another_is_at_work(tmp_path):
    left = [tmp_path / "a/incomplete.ABCDEF_1.0.0", tmp_path / "b/incomplete.ABCDEF_1.1.0"]
    by_tfds, whole = tmp_path / "2007/incomplete.ABCDEF_5.0.0", tmp_path / "b/1.1.0"
    for folder in (*left, by_tfds, whole):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    with preparing(tmp_path):
        assert not any(folder.exists() for folder in left)
        assert by_tfds.exists() and whole.exists() and not (tmp_path / "a").exists()
        left[0].mkdir(parents=True)
        with preparing(tmp_path):
            assert left[0].exists()


def test_copies_of_earlier_contents_are_reported(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for name in ("photos-1234-a", "photos-1234-b", "photos-5678-c"):
        (tmp_path / name / "1.0.0").mkdir(parents=True)
        (tmp_path / name / "1.0.0/file").write_bytes(bytes(2_000_000))
    report_earlier(tmp_path / "photos-1234-b/1.0.0", "photos-1234-")
    (line,) = caplog.messages
    assert "1 copies of earlier contents of the folder use 2.0 MB" in line
    assert line.endswith(f"rm -r {tmp_path / 'photos-1234-a'}")
