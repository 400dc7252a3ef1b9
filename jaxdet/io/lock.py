"""One trainer a workdir: an advisory lock that dies with its process."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import jax

from jaxdet.checks import InputError


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[Path]:
    """Holds `workdir`, made if missing, for this process and gives its absolute path.

    In a run of several processes the first one locks for all; the others only get the path. The lock is the kernel's
    (flock on the file `lock`, which is removed in the end), so a file left behind by a killed process is no obstacle.

    Raises:
      InputError: where another process holds it (names host and pid), or the folder cannot be written.
    """
    workdir = Path(workdir).expanduser().resolve()
    if jax.process_index() > 0:
        yield workdir
        return
    with _held(workdir) as file:
        try:
            file.truncate(0)
            file.write(f"host {socket.gethostname()}, pid {os.getpid()}\n")
            file.flush()
            yield workdir
        finally:
            with contextlib.suppress(OSError):
                (workdir / "lock").unlink()  # while it is held: whoever has opened it meanwhile opens again


def _held(workdir: Path) -> TextIO:
    """Opens and locks the file `lock`, or the one now of its name where the last holder has removed it meanwhile."""
    path = workdir / "lock"
    while True:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            raise InputError(
                f"workdir {workdir} must be writable, got {error.strerror}; give another --workdir."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read().strip() or "another process"
            raise InputError(
                f"workdir {workdir} must be free, got one in use by {holder}; "
                "wait for it, stop it, or give another --workdir."
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
