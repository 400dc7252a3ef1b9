"""File locks: an advisory flock that ends with its process, and the lock of a workdir."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import jax

from jaxdet.checks import InputError
from jaxdet.io.folder import unwritable
from jaxdet.io.home import expand_home


class Locked(Exception):
    """Another process holds the lock."""


def open_locked(path: Path, *, wait: bool, buffering: int = -1) -> IO[bytes]:
    """Open a file for appending and lock it until it is closed. Its folder is created.

    The holder may rename or remove the file before it lets go: then the file that has the name now is opened and
    locked instead.

    Args:
      path: the file to lock.
      wait: wait for the lock as long as another process holds it.
      buffering: as in `open`.

    Raises:
      Locked: another process holds the lock, and `wait` is False.
      OSError: the file cannot be opened.
    """
    operation = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering)
        try:
            fcntl.flock(file, operation)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BlockingIOError:
            file.close()
            raise Locked from None
        except BaseException:
            file.close()
            raise
        file.close()


@contextlib.contextmanager
def locked(workdir: str | os.PathLike[str]) -> Iterator[Path]:
    """Hold `workdir` for this process and yield its absolute path. The folder is created.

    In a run of several processes the first one locks for all; the others only get the path. The lock file
    (`workdir/lock`) is removed at the end; one left behind by a killed process is no obstacle.

    Raises:
      InputError: another process holds it (the error names host and pid), or the folder cannot be written.
    """
    workdir = Path(expand_home("workdir", workdir)).resolve()
    if jax.process_index() > 0:
        yield workdir
        return
    with _hold(workdir / "lock") as file:
        try:
            with contextlib.suppress(OSError):  # a full disk: the lock holds without the name of its holder
                file.truncate(0)
                file.write(f"host {socket.gethostname()}, pid {os.getpid()}\n".encode())
            yield workdir
        finally:
            with contextlib.suppress(OSError):
                # Before the lock ends: whoever waits for this file opens a new one. In a workdir that was replaced
                # meanwhile the file is another's.
                if os.path.samestat(os.fstat(file.fileno()), (workdir / "lock").stat()):
                    (workdir / "lock").unlink()


def _hold(path: Path) -> IO[bytes]:
    workdir = path.parent
    try:
        return open_locked(path, wait=False, buffering=0)
    except Locked:
        holder = ""
        with contextlib.suppress(OSError):
            holder = path.read_text().strip()
        raise InputError(
            f"workdir {workdir} must be free, got one in use by {holder or 'another process'}; "
            "wait for it, stop it, or give another --workdir."
        ) from None
    except OSError as error:
        raise unwritable(f"workdir {workdir}", error, cure="give another --workdir") from error
