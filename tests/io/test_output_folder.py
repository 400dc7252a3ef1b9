"""Results never replace a user's file, and are written whole or not at all."""

import contextlib
import errno
import os

import pytest

from jaxdet.checks import InputError
from jaxdet.io import atomic
from jaxdet.io.output_folder import LIST, OutputFolder, unique_name


def opened(folder):
    return OutputFolder(folder, cure="name another folder with --output")


def test_a_result_of_an_earlier_run_is_replaced(tmp_path):
    for content in ("first", "2nd", "first"):
        opened(tmp_path / "new").write("a/b.txt", content)
        assert (tmp_path / "new/a/b.txt").read_text() == content
    opened(tmp_path / "new").remove("a/b.txt")
    assert not (tmp_path / "new/a/b.txt").exists()


def put_file(path):
    path.write_bytes(b"the user's")


def put_link(path):
    target = path.with_name("elsewhere")
    target.write_bytes(b"the user's")
    path.symlink_to(target)


def put_dangling_link(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("put", [put_file, put_link, put_dangling_link, os.mkdir])
def test_what_jaxdet_did_not_write_is_refused_by_name_and_stays(tmp_path, put):
    put(tmp_path / "a.txt")
    before = sorted((path.name, path.lstat()) for path in tmp_path.iterdir())
    folder = opened(tmp_path)
    for write in (lambda: folder.check(["b.txt", "a.txt"]), lambda: folder.write("a.txt", "new")):
        with pytest.raises(InputError, match="a.txt must not be replaced, as jaxdet did not write it; move it"):
            write()
    with pytest.raises(InputError, match="a.txt must not be replaced"):
        folder.remove("a.txt")
    assert sorted((path.name, path.lstat()) for path in tmp_path.iterdir()) == before


def test_files_of_a_version_without_a_list_are_replaceable_once_adopted(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        put_file(tmp_path / name)
    put_link(tmp_path / "link.txt")
    opened(tmp_path).adopt(["a.txt", "b.txt", "link.txt", "missing.txt"])
    folder = opened(tmp_path)  # a kill after that loses nothing
    folder.check(["a.txt", "b.txt", "missing.txt"])
    for name in ("c.txt", "link.txt"):
        with pytest.raises(InputError, match=f"{name} must not be replaced"):
            folder.check([name])
    folder.adopt(["c.txt"])  # the folder has a list
    with pytest.raises(InputError, match="c.txt must not be replaced"):
        folder.check(["c.txt"])
    folder.write("a.txt", "new")


def test_a_process_that_writes_no_list_may_check_the_files_of_a_version_without_one(tmp_path):
    put_file(tmp_path / "a.txt")
    folder = opened(tmp_path)
    folder.adopt(["a.txt"], write_list=False)
    folder.check(["a.txt"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_result_that_was_edited_belongs_to_the_user(tmp_path):
    opened(tmp_path).write("a.txt", "result")
    (tmp_path / "a.txt").write_text("result, with notes")
    with pytest.raises(InputError, match="a.txt must not be replaced"):
        opened(tmp_path).check(["a.txt"])


def test_an_input_is_never_replaced_even_if_jaxdet_wrote_it(tmp_path):
    opened(tmp_path).write("a.txt", "result")
    (tmp_path / "link").symlink_to(tmp_path)
    for spelling in ("a.txt", "link/a.txt", f"link/../{tmp_path.name}/a.txt"):
        with pytest.raises(InputError, match="a.txt must not be replaced, as it is read; name another folder with"):
            opened(tmp_path).check(["a.txt"], inputs=[tmp_path / spelling])


def test_a_kill_between_list_and_file_leaves_both_contents_replaceable(tmp_path, monkeypatch):
    opened(tmp_path).write("a.txt", "first")

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(atomic.Path, "replace", kill)
        with pytest.raises(Killed):
            opened(tmp_path).write("a.txt", "second")
    with (tmp_path / LIST).open("a") as file:
        file.write("0123 a line that was cut o")
    opened(tmp_path).write("a.txt", "second")
    opened(tmp_path).write("a.txt", "third")
    assert (tmp_path / "a.txt").read_text() == "third"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_one_error_and_the_earlier_content_stays(tmp_path, monkeypatch, number):
    folder = opened(tmp_path)
    folder.write("a.txt", "earlier")

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic.os, "fsync", fail)
    with pytest.raises(InputError, match=f"a.txt must be writable, got {os.strerror(number)}; name another folder"):
        folder.write("a.txt", "x" * 99)
    assert (tmp_path / "a.txt").read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {LIST, "a.txt"}


def test_names_that_are_not_utf_8_are_escaped_in_texts(tmp_path):
    path = opened(tmp_path).write(os.fsdecode(b"caf\xe9.txt"), '{"caf\udce9": "é"}')
    assert path.read_text(encoding="utf-8") == '{"caf\\udce9": "é"}'
    opened(tmp_path).write(os.fsdecode(b"caf\xe9.txt"), "again")


def test_names_are_unique_whatever_case_and_form_they_have():
    used = {"all.png"}
    names = ["x.png", "X.png", "x-1.png", "caf\u00e9.png", "cafe\u0301.png", "All.png"]
    assert [unique_name(name, used) for name in names] == [
        *("x.png", "X-1.png", "x-1-1.png", "caf\u00e9.png", "cafe\u0301-1.png", "All-1.png")
    ]


def test_a_draft_gets_its_name_at_the_end_or_at_a_stop(tmp_path):
    for stop in (None, KeyboardInterrupt):
        output = opened(tmp_path)
        with contextlib.suppress(KeyboardInterrupt), output.draft("a/film.mp4") as draft:
            assert draft.suffix == ".mp4"
            draft.write_bytes(b"frames")
            assert not (tmp_path / "a/film.mp4").exists()
            if stop:
                raise stop
        assert (tmp_path / "a/film.mp4").read_bytes() == b"frames"
        opened(tmp_path).remove("a/film.mp4")  # it is listed


def test_a_draft_is_removed_after_an_error(tmp_path):
    with pytest.raises(MemoryError), opened(tmp_path).draft("film.mp4") as draft:
        draft.write_bytes(b"frames")
        raise MemoryError
    assert list(tmp_path.iterdir()) == []


def test_a_draft_never_replaces_a_users_file(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"the user's")
    with pytest.raises(InputError, match="film.mp4 must not be replaced"), opened(tmp_path).draft("film.mp4"):
        pass
    assert (tmp_path / "film.mp4").read_bytes() == b"the user's"
