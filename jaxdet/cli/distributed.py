"""Training and evaluation by several processes, on one host or many."""

import re

import jax

from jaxdet.checks import InputError


def init_distributed(processes: str) -> None:
    """Join the other processes of a run, before anything asks jax for its devices.

    Args:
      processes: '' for a run of this process alone; 'auto' where jax detects the cluster (TPU pods, Slurm, Open MPI,
        Kubernetes); else 'HOST:PORT,COUNT,NUMBER': the address of process 0, how many processes there are, and the
        number of this one.

    Raises:
      InputError: it is none of these, or the other processes cannot be reached.
    """
    if not processes:
        return
    manual = re.fullmatch(r"(.+:\d+),(\d+),(\d+)", processes)
    if processes != "auto" and not (manual and int(manual[3]) < int(manual[2])):
        raise InputError(
            f"--distributed must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0 on, got {processes!r}; "
            "such as --distributed=10.0.0.1:1234,2,0 on the first of two hosts."
        )
    try:
        if manual:
            jax.distributed.initialize(manual[1], int(manual[2]), int(manual[3]))
        else:
            jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed={processes}: the processes do not find each other ({error}); "
            "start all of them, and name the host and a free port of the first: HOST:PORT,COUNT,NUMBER."
        ) from error
