"""Training and evaluation by several processes, on one host or many."""

import os
import re
import sys
import threading
from typing import Any

import jax

from jaxdet.checks import InputError
from jaxdet.cli.interrupts import is_compiling

COMING, SILENT = 300, 100  # seconds, as in jax
# In the messages of jax, its coordination service and its collectives when a process does not answer.
LOST = re.compile(r"gloo|nccl|heartbeat|coordination service|barrier|connection (closed|reset)|socket closed", re.I)


def init_distributed(processes: str) -> None:
    """Join the other processes of a run, before anything asks jax for its devices.

    Args:
      processes: '' for a run of this process alone; 'auto' where jax detects the cluster (TPU pods, Slurm, Open MPI,
        Kubernetes); else 'HOST:PORT,COUNT,NUMBER': the address of process 0, how many processes there are, and the
        number of this one. Both may end in ',SECONDS': how long to wait for a process that does not come (300 if not
        given) or no longer answers (100). jax ends a process that waits for the latter with a stack trace.

    Raises:
      InputError: it is none of these, or the other processes cannot be reached.
    """
    if not processes:
        return
    value = re.fullmatch(r"(?:auto|(.+:\d+),(\d+),(\d+))(?:,([1-9]\d*))?", processes)
    if not value or (value[1] and int(value[3]) >= int(value[2])):
        raise InputError(
            f"--distributed must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0 on, got {processes!r}; "
            "such as --distributed=10.0.0.1:1234,2,0 on the first of two hosts."
        )
    arguments: dict[str, Any] = {}
    if value[1]:
        arguments = {"coordinator_address": value[1], "num_processes": int(value[2]), "process_id": int(value[3])}
    coming, silent = (int(value[4]),) * 2 if value[4] else (COMING, SILENT)
    # jax would abort with a stack trace when its own time is over, so it gets more.
    timer = threading.Timer(coming, _give_up, [_not_found(processes, f"waited {coming} s")])
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            **arguments, initialization_timeout=2 * coming + 60, heartbeat_timeout_seconds=silent
        )
    except (ValueError, RuntimeError) as error:
        raise _not_found(processes, str(error).partition("\n")[0]) from error
    finally:
        timer.cancel()


def _not_found(processes: str, reason: str) -> InputError:
    return InputError(
        f"--distributed={processes}: the processes do not find each other ({reason}); "
        "start all of them, and name the host and a free port of the first: HOST:PORT,COUNT,NUMBER."
    )


def _give_up(error: InputError) -> None:
    os.write(2, f"error: {error}\n".encode())
    os._exit(2)  # the main thread waits outside Python


def lost_process(error: Exception) -> InputError | None:
    """Return the error for another process that was lost, where `error` is its consequence; else None."""
    if isinstance(error, InputError) or not _is_joined() or not LOST.search(str(error)):
        return None
    reason = str(error).partition("\n")[0]
    return InputError(
        f"--distributed: all processes must stay, got process {jax.process_index()} of {jax.process_count()} "
        f"without an answer of another ({reason}); see what the others printed, and start all of them again with the "
        "same commands: training resumes from its last checkpoint."
    )


def exit_at_once(code: int) -> None:
    """End without waiting for compilations or for other processes, which end in turn; jax would wait for minutes."""
    if _is_joined() or is_compiling():
        end_process(code)
    sys.exit(code)


def end_process(code: int) -> None:
    """End without Python's own shutdown, which can crash beside threads of XLA that were at work at a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _is_joined() -> bool:
    return jax.distributed.is_initialized()
