"""The event file is read by tensorboardX's own reader of records; a full disk never stops training."""

import errno
import logging
import os
import struct
import threading

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from jaxdet.training.events import EventFile


def events(folder):
    """Return the events of the folder's only file, their checksums checked."""
    (path,) = folder.iterdir()
    content, read = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        data = content[12 : 12 + length]
        assert struct.unpack("<I", content[8:12]) == (masked_crc32c(content[:8]),)
        assert struct.unpack("<I", content[12 + length : 16 + length]) == (masked_crc32c(data),)
        read.append(Event.FromString(data))
        content = content[16 + length :]
    return read


def test_scalars_are_records_that_tensorboard_reads(tmp_path):
    file = EventFile(tmp_path, purge_step=7)
    file.add_scalars({"train/loss": 0.5, "train/images_per_second": 3.0}, 10)
    version, start, *scalars = events(tmp_path)  # before it is closed: nothing waits in a buffer
    file.close()
    file.add_scalars({"train/loss": 0.25}, 11)  # dropped
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (7, SessionLog.START)
    assert [(e.step, e.summary.value[0].tag, e.summary.value[0].simple_value) for e in scalars] == [
        (10, "train/loss", 0.5),
        (10, "train/images_per_second", 3.0),
    ]


class Full:
    """A file on a disk with room for a few more bytes, and then for none."""

    def __init__(self, file, number):
        self._file, self._number = file, number

    def write(self, content):
        if self._number:
            raise OSError(self._number, os.strerror(self._number))
        return self._file.write(content[:7])

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("number", [0, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_one_warning_and_leaves_whole_records(tmp_path, monkeypatch, caplog, number):
    threads = threading.active_count()
    file = EventFile(tmp_path, purge_step=1)
    file.add_scalars({"train/loss": 0.5}, 10)
    monkeypatch.setattr(file, "_file", Full(file._file, number))
    with caplog.at_level(logging.WARNING):
        for step in range(20, 60):  # more than a queue holds
            file.add_scalars({"train/loss": 0.5}, step)
    file.close()
    (warning,) = caplog.messages
    assert warning.startswith(f"the curves for TensorBoard are incomplete: {tmp_path}/events.out.tfevents.")
    assert warning.endswith(f": {os.strerror(number or errno.ENOSPC)}")
    assert [event.step for event in events(tmp_path)] == [0, 1, 10]
    assert threading.active_count() == threads


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path, caplog):
    (tmp_path / "tensorboard").touch()
    file = EventFile(tmp_path / "tensorboard", purge_step=1)
    file.add_scalars({"train/loss": 0.5}, 10)
    file.close()
    assert len(caplog.messages) == 1
