"""Appending to a file whole or not at all."""

import contextlib
import errno
import os
from typing import IO


def append_whole(file: IO[bytes], content: bytes) -> None:
    """Append to a file that was opened with mode "ab" and without a buffer.

    Raises:
      OSError: it cannot be written, as on a full disk. What was written of the content is cut off again.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        if file.write(content) != len(content):  # a disk that fills up takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise
