"""Downloading a large file once: resumed where it was interrupted, checked before it gets its name.

TFDS's download manager starts an interrupted file afresh and takes minutes (204 s measured) to say that a host is down.
"""

import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import tqdm

TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20


class Unavailable(Exception):
    """Why a file could not be downloaded: the reason a person reads."""


def fetch(addresses: Sequence[str], file: Path, *, digest: str, size: int | None = None) -> None:
    """Downloads `file` from the first address that has it; where one breaks off, it or the next goes on from there.

    What has arrived waits in `<file>.part`, also for the next call; of two processes the second waits for the first.

    Args:
        addresses: of the same file; http, https, ftp or file.
        file: where it shall lie; its folder must exist.
        digest: see `matches`.
        size: in bytes; None believes the server.

    Raises:
        Unavailable: no address gives the whole file, or what arrived has another digest (it is deleted).
        OSError: the folder cannot be written, or the disk is full.
    """
    part = file.with_name(f"{file.name}.part")
    with _alone(part) as out:
        if file.exists():  # another process has fetched it meanwhile
            part.unlink()
            return
        reasons = []
        for address in addresses:
            fault = _complete(address, out, size, file.name)
            if not fault:
                out.flush()
                if matches(part, digest):
                    os.replace(part, file)
                    return
                out.truncate(0)
                fault = f"the file does not have {digest}"
            reasons.append(f"{address}: {fault}")
        if not _length(out):
            part.unlink()
        raise Unavailable("; ".join(reasons))


def _alone(part: Path) -> BinaryIO:
    """Opens and locks a file, or the one now of its name where another process has renamed or removed it meanwhile."""
    while True:
        out = part.open("ab")
        fcntl.flock(out, fcntl.LOCK_EX)
        if part.exists() and os.path.samestat(os.fstat(out.fileno()), part.stat()):
            return out
        out.close()


def matches(file: Path, digest: str) -> bool:
    """Tells whether a file has a digest such as 'sha256:1f2e...' or 'md5:...', of which the beginning suffices."""
    algorithm, _, start = digest.partition(":")
    with file.open("rb") as contents:
        return hashlib.file_digest(contents, algorithm).hexdigest().startswith(start)


def _complete(address: str, out: BinaryIO, size: int | None, name: str) -> str:
    """Appends what is missing, connecting again as long as each connection brings some of it; '' or the reason why not.

    Errors of `out` itself are raised.
    """
    have = _length(out)
    with tqdm.tqdm(
        total=size, initial=have, desc=f"downloading {name}", unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:
        while size is None or have < size:
            try:
                reason, size = _append(address, out, size, bar)
            except Unavailable as fault:
                return str(fault)
            before, have = have, _length(out)
            if have <= before < size:
                return f"{reason} at byte {have} of {size}"
    return ""


def _append(address: str, out: BinaryIO, size: int | None, bar: tqdm.tqdm) -> tuple[str, int]:
    """One connection: appends what it brings and says why it ended and how large the whole file is.

    Raises:
        Unavailable: this address cannot help.
    """
    have = _length(out)
    try:
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        reply = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:  # which is an open reply, too
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size is None:
            return "", have  # all of it had arrived; the digest will tell
        raise Unavailable(str(error)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(str(getattr(error, "reason", error))) from error
    with reply:
        again = reply.status != http.HTTPStatus.PARTIAL_CONTENT  # it sends all of it
        have = 0 if again else have
        announced = reply.headers.get("Content-Length")
        if size is None:
            if announced is None:
                raise Unavailable("does not say how large the file is")
            bar.total = size = have + int(announced)
        elif announced is not None and have + int(announced) != size:
            raise Unavailable(f"offers {have + int(announced)} bytes, not {size}")
        if again:  # not before it is clear that this is the file
            out.truncate(0)
            bar.reset()
        while have < size:
            try:
                block = reply.read(min(BLOCK, size - have))
            except (OSError, http.client.HTTPException) as error:
                return f"broke off ({error})", size
            if not block:
                break
            out.write(block)
            bar.update(len(block))
            have += len(block)
    return "broke off", size


def _length(out: BinaryIO) -> int:
    return out.seek(0, os.SEEK_END)
