"""One trainer a workdir: an advisory lock that dies with its process."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxdet.checks import InputError


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[Path]:
    """Holds `workdir`, made if missing, for this process and gives its absolute path.

    In a run of several processes the first one locks for all; the others only get the path. The lock is the kernel's
    (flock on the file `lock`), so one left behind by a killed process is no obstacle.

    Raises:
      InputError: where another process holds it (names host and pid), or the folder cannot be written.
    """
    workdir = Path(workdir).expanduser().resolve()
    if jax.process_index() > 0:
        yield workdir
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "lock").touch()
    except OSError as error:
        raise InputError(
            f"workdir {workdir} must be writable, got {error.strerror}; give another --workdir."
        ) from error
    with (workdir / "lock").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"workdir {workdir} must be free, got one in use by {file.read().strip() or 'another process'}; "
                "wait for it, stop it, or give another --workdir."
            ) from None
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, pid {os.getpid()}\n")
        file.flush()
        yield workdir
