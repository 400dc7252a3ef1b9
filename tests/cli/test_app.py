"""The frame of the commands: which errors are one line, and which keep their traceback."""

import errno
import os
import sys

import pytest

from jaxdet.checks import InputError
from jaxdet.cli import app

WITHOUT_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
UNUSABLE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ESTALE)


def failing(monkeypatch, capsys, error):
    """Run a command that ends with an error; return its exit code and what it printed."""

    def main(*_):
        raise error

    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(app, "setup_logging", lambda: None)
    with pytest.raises(SystemExit) as end:
        app.run(main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize("number", WITHOUT_SPACE)
@pytest.mark.parametrize("file", ["runs/a.json", None])
def test_a_full_or_read_only_disk_is_one_line(monkeypatch, capsys, number, file):
    code, printed = failing(monkeypatch, capsys, OSError(number, os.strerror(number), file))
    what = file or "the folder of the results"
    expected = f"error: {what} must be writable, got {os.strerror(number)}; make room, or name another folder.\n"
    assert (code, printed) == (2, expected)


@pytest.mark.parametrize("number", UNUSABLE)
@pytest.mark.parametrize("file", ["runs/a.json", b"runs/a.json"])
def test_a_file_that_may_not_be_used_is_one_line(monkeypatch, capsys, number, file):
    code, printed = failing(monkeypatch, capsys, OSError(number, os.strerror(number), file))
    cure = "change its permissions, or name another place."
    assert (code, printed) == (2, f"error: runs/a.json must be usable, got {os.strerror(number)}; {cure}\n")


def test_a_folder_that_is_gone_is_one_line(monkeypatch, capsys, tmp_path):
    file = str(tmp_path / "gone" / "a.json")
    code, printed = failing(monkeypatch, capsys, OSError(errno.ENOENT, os.strerror(errno.ENOENT), file))
    assert code == 2
    assert printed.startswith(f"error: {file} must be usable, got No such file or directory;")


def test_windows_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    code, printed = failing(monkeypatch, capsys, ValueError("what the command would do"))
    assert code == 2 and printed.count("\n") == 1
    assert printed.startswith("error: jaxdet must run on Linux or macOS, got Windows, ") and "run it in WSL2" in printed


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a mistake of ours"),
        OSError(errno.EIO, os.strerror(errno.EIO), "a failing disk"),
        OSError(errno.EACCES, "without a file"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(os.path.dirname(__file__), "missing")),
    ],
)
def test_any_other_error_keeps_its_traceback(error):
    assert app._unusable_file(error) is None


@pytest.mark.parametrize(
    ("named", "error"),
    [
        (["missing/folder"], "there is no folder 'missing/folder'; name the folder of the data, or a config"),
        (["photo.jpg"], "'photo.jpg' is a file; name the folder that it is in, or a config"),
        (["a", "b"], "one folder or config must be named, got a, b"),
    ],
)
def test_what_is_neither_the_folder_of_the_data_nor_a_config_is_named(tmp_path, monkeypatch, named, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match=error):
        app.take_config(named)


def test_a_folder_of_data_is_taken_by_its_name(tmp_path):
    assert app.take_config([str(tmp_path)]) == [str(tmp_path)]
    assert app.take_config([]) == []
