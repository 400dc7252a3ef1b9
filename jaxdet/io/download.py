"""Downloads of large files: resumable, from several addresses, verified by a digest before the file gets its name.

Written by hand because TFDS's download manager restarts an interrupted file from the beginning and needs minutes
(204 s measured) to report that a host is down.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from jaxdet.io.lock import open_locked
from jaxdet.io.progress import download_progress

TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20  # bytes

Show = Callable[[int, int | None], None]  # (bytes received, bytes in total) -> progress bar


class Unavailable(Exception):
    """A file could not be downloaded. The message is the reason, for the user."""


def download(addresses: Sequence[str], file: Path, *, digest: str, size: int | None = None) -> None:
    """Download `file` from the first address that has it.

    Where a download breaks off, the same or the next address resumes it. The bytes received wait in `<file>.part`,
    also for the next call. Of two processes the second one waits for the first.

    Args:
      addresses: of the same file; http, https, ftp or file.
      file: destination.
      digest: see `matches`.
      size: in bytes; None takes the server's word.

    Raises:
      Unavailable: no address sends the whole file, or the file has another digest (it is deleted).
      OSError: the folder cannot be written, or the disk is full.
    """
    part = file.with_name(f"{file.name}.part")
    with open_locked(part, wait=True) as out:
        if file.exists():  # downloaded by another process meanwhile
            part.unlink()
            return
        reasons = []
        for address in addresses:
            reason = _complete(address, out, size, file.name)
            if not reason:
                out.flush()
                if matches(part, digest):
                    os.replace(part, file)
                    return
                out.truncate(0)
                reason = f"the file does not have {digest}"
            reasons.append(f"{address}: {reason}")
        if not _length(out):
            part.unlink()
        raise Unavailable("; ".join(reasons))


def matches(file: Path, digest: str) -> bool:
    """Return whether a file has a digest such as 'sha256:1f2e...' or 'md5:...'; its first characters suffice."""
    algorithm, _, start = digest.partition(":")
    with file.open("rb") as contents:
        return hashlib.file_digest(contents, algorithm).hexdigest().startswith(start)


def _complete(address: str, out: IO[bytes], size: int | None, name: str) -> str:
    """Append the missing bytes, connecting again as long as each connection sends some of them.

    Returns '', or the reason why the file is incomplete. Errors of `out` itself are raised.
    """
    received = _length(out)
    with download_progress(f"downloading {name}") as show:
        show(received, size)
        while size is None or received < size:
            try:
                reason, size = _append(address, out, size, show)
            except Unavailable as fault:
                return str(fault)
            before, received = received, _length(out)
            if received <= before < size:
                return f"{reason} at byte {received} of {size}"
    return ""


def _append(address: str, out: IO[bytes], size: int | None, show: Show) -> tuple[str, int]:
    """Append what one connection sends. Returns why it ended, and the size of the whole file.

    Raises:
      Unavailable: this address does not have the file.
    """
    received = _length(out)
    try:
        request = urllib.request.Request(address, headers={"Range": f"bytes={received}-"} if received else {})
        reply = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:  # also an open reply
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size is None:
            return "", received  # all of it was received before; the digest decides
        raise Unavailable(str(error)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(str(getattr(error, "reason", error))) from error
    with reply:
        restarts = reply.status != http.HTTPStatus.PARTIAL_CONTENT  # it sends the whole file
        received = 0 if restarts else received
        announced = reply.headers.get("Content-Length")
        if size is None:
            if announced is None:
                raise Unavailable("does not say how large the file is")
            size = received + int(announced)
        elif announced is not None and received + int(announced) != size:
            raise Unavailable(f"offers {received + int(announced)} bytes, not {size}")
        if restarts:  # only now that its size is right
            out.truncate(0)
        while received < size:
            show(received, size)
            try:
                block = reply.read(min(BLOCK, size - received))
            except (OSError, http.client.HTTPException) as error:
                return f"broke off ({error})", size
            if not block:
                break
            out.write(block)
            received += len(block)
    return "broke off", size


def _length(out: IO[bytes]) -> int:
    return out.seek(0, os.SEEK_END)
