"""Reading files that others made: a pipe, device or folder in their place is refused before it is opened."""

import errno
import os
import stat
from pathlib import Path

KINDS = {  # of what is no regular file
    stat.S_IFDIR: (errno.EISDIR, "is a folder, not a file"),
    stat.S_IFIFO: (errno.EINVAL, "is a named pipe, not a file"),
    stat.S_IFSOCK: (errno.EINVAL, "is a socket, not a file"),
    stat.S_IFCHR: (errno.EINVAL, "is a device, not a file"),
    stat.S_IFBLK: (errno.EINVAL, "is a device, not a file"),
}


def check_regular(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
    """Raise OSError unless `path`, or what it links to, is a regular file of at most `max_bytes` bytes.

    A pipe would block its reader for ever, and a device may have no end. `strerror` of the error is a reason for the
    user, such as "is a named pipe, not a file".
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        number, reason = KINDS.get(stat.S_IFMT(status.st_mode), (errno.EINVAL, "is no regular file"))
        raise OSError(number, reason, os.fspath(path))
    if max_bytes is not None and status.st_size > max_bytes:
        raise _too_large(path, f"has {status.st_size} bytes, more than {max_bytes}")


def read_regular(path: str | os.PathLike[str], *, max_bytes: int) -> bytes:
    """Return the content of a regular file of at most `max_bytes` bytes; OSError as in check_regular."""
    check_regular(path, max_bytes=max_bytes)
    with Path(path).open("rb") as file:
        content = file.read(max_bytes + 1)  # files of /proc say that they are empty
    if len(content) > max_bytes:
        raise _too_large(path, f"has more than {max_bytes} bytes")
    return content


def _too_large(path: str | os.PathLike[str], reason: str) -> OSError:
    return OSError(errno.EINVAL, reason, os.fspath(path))  # EFBIG is an error of writing: see io.folder
