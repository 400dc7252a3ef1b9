"""Appending whole or not at all, on a disk that is full or fills up."""

import errno
import io

import pytest

from jaxdet.io.append import append_whole


class FullDisk(io.FileIO):
    """Takes `room` more bytes; without room it raises, as a system does."""

    room = 0

    def write(self, content):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content[: self.room])


def test_contents_follow_each_other(tmp_path):
    for content in (b"a\n", b"bc\n"):
        with (tmp_path / "file").open("ab", buffering=0) as file:
            append_whole(file, content)
    assert (tmp_path / "file").read_bytes() == b"a\nbc\n"


@pytest.mark.parametrize("room", [0, 2])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, room):
    (tmp_path / "file").write_bytes(b"a\n")
    with FullDisk(tmp_path / "file", "ab") as file:
        file.room = room
        with pytest.raises(OSError, match="No space left on device"):
            append_whole(file, b"bc\n")
    assert (tmp_path / "file").read_bytes() == b"a\n"
