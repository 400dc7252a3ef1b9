"""Scalars for TensorBoard: an event file (TFRecords of Event messages), written without a thread.

The curves are a copy of metrics.jsonl: an event file that cannot be written is a warning, and training goes on.
"""

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

from jaxdet.io.append import append_whole

log = logging.getLogger(__name__)


class EventFile:
    """Appends scalars to a new event file. After the first error of the disk it warns and writes no more."""

    def __init__(self, folder: Path, *, purge_step: int):
        """Create the file in `folder`; TensorBoard then ignores what earlier files have from `purge_step` on."""
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._file: IO[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            self._stop(error)
        start = SessionLog(status=SessionLog.START)
        self._append(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=purge_step, session_log=start),
        )

    def add_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Append the value of each tag at a step."""
        self._append(
            *(Event(wall_time=time.time(), step=step, summary=scalar(tag, value)) for tag, value in scalars.items())
        )

    def close(self) -> None:
        """Close the file; what is added later is dropped."""
        if self._file:
            self._file.close()
            self._file = None

    def _append(self, *events: Event) -> None:
        """Append events whole or not at all."""
        if not self._file:
            return
        content = b"".join(_record(event.SerializeToString()) for event in events)
        try:
            append_whole(self._file, content)
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        log.warning("the curves for TensorBoard are incomplete: %s: %s", self._path, error.strerror)
        with contextlib.suppress(OSError):
            self.close()


def _record(data: bytes) -> bytes:
    """Return a TFRecord: length, checksum of the length, data, checksum of the data."""
    length = struct.pack("<Q", len(data))
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(checksums) + data + next(checksums)
