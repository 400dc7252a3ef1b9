import errno
import os
import socket

import pytest

from jaxdet.io.folder import cannot_write
from jaxdet.io.regular_file import check_regular, read_regular


def test_a_regular_file_is_read_also_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert read_regular(tmp_path / name, max_bytes=7) == b"content"
        check_regular(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("folder", "is a folder, not a file"),
        ("pipe", "is a named pipe, not a file"),
        ("link to a pipe", "is a named pipe, not a file"),
        ("socket", "is a socket, not a file"),
        ("link to a device", "is a device, not a file"),
        ("link to itself", os.strerror(errno.ELOOP)),
        ("dangling link", os.strerror(errno.ENOENT)),
    ],
)
def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path, monkeypatch, kind, reason):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    if kind == "folder":
        os.mkdir("x")
    elif kind == "pipe":
        os.mkfifo("x")
    elif kind == "link to a pipe":
        os.mkfifo("pipe")
        os.symlink("pipe", "x")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("x")
    else:
        os.symlink({"link to a device": "/dev/zero", "link to itself": "x", "dangling link": "gone"}[kind], "x")
    with pytest.raises(OSError) as error:
        read_regular(tmp_path / "x", max_bytes=10)
    assert error.value.strerror == reason


def test_a_file_above_the_limit_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"12345678")
    with pytest.raises(OSError, match="has 8 bytes, more than 7") as error:
        read_regular(tmp_path / "x", max_bytes=7)
    assert not cannot_write(error.value)  # it is read: nothing is full


def test_a_file_that_hides_its_size_is_held_to_the_limit():
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc")
    with pytest.raises(OSError, match="has more than 7 bytes"):
        read_regular("/proc/self/status", max_bytes=7)
