"""--distributed joins processes; tests/training/test_sharding.py trains with two."""

import socket

import pytest

from jaxdet.checks import InputError
from jaxdet.cli.distributed import init_distributed, lost_process

ALONE = """
import sys
from jaxdet.cli import app
from jaxdet.cli.distributed import init_distributed
processes = sys.argv.pop()
app.run(lambda *_: init_distributed(processes))
"""
# The second process is lost while the first waits for it.
LOST = """
import os, sys
import jax
from jax.experimental import multihost_utils
from jaxdet.cli import app
from jaxdet.cli.distributed import init_distributed
processes = sys.argv.pop()
def main(*_):
    init_distributed(processes)
    multihost_utils.broadcast_one_to_all(jax.numpy.ones(2))
    if jax.process_index() == LOST:
        os._exit(0)
    for _ in range(3):
        multihost_utils.broadcast_one_to_all(jax.numpy.ones(2))
app.run(main)
"""


def address():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


def test_a_process_that_never_comes_is_one_line(scripts):
    runs = [scripts.start_code(ALONE, f"{address()},2,{number},1") for number in (0, 1)]
    for run in runs:  # each waits for the other number
        printed = run.end(code=2)
        assert printed.startswith("error: --distributed=localhost:") and printed.count("\n") == 1, printed
        assert "do not find each other (waited 1 s); start all of them" in printed


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_is_one_line_for_the_other(scripts, lost):
    where = address()
    runs = [scripts.start_code(LOST.replace("LOST", str(lost)), f"{where},2,{number}") for number in (0, 1)]
    runs[lost].wait()
    printed = runs[1 - lost].end(code=2)
    assert f"got process {1 - lost} of 2 without an answer of another (" in printed
    assert "start all of them again with the same commands: training resumes" in printed
    assert "Traceback" not in printed and "***" not in printed


@pytest.mark.parametrize(
    "processes", ["2", "Auto", "host:1234,2", "host:1234,2,2", "host,2,0", "auto,0", "host:1,2,0,x"]
)
def test_a_value_in_another_form(processes):
    with pytest.raises(
        InputError, match=f"must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0 on, got '{processes}'"
    ):
        init_distributed(processes)


def test_the_arguments_of_jax(monkeypatch):
    calls = []
    monkeypatch.setattr("jax.distributed.initialize", lambda **arguments: calls.append(tuple(arguments.values())))
    for processes in ("", "auto", "auto,7", "[::1]:1234,2,1", "host:1234,2,0,30"):
        init_distributed(processes)
    assert calls == [
        *((660, 100), (74, 7)),
        *(("[::1]:1234", 2, 1, 660, 100), ("host:1234", 2, 0, 120, 30)),
    ]


def test_processes_that_cannot_be_reached(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no cluster")

    monkeypatch.setattr("jax.distributed.initialize", fail)
    with pytest.raises(InputError, match=r"--distributed=auto: the processes do not find each other \(no cluster\)"):
        init_distributed("auto")


def test_a_mistake_that_names_a_barrier_is_no_lost_process(monkeypatch):
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    assert lost_process(InputError("photos: there is no folder barrier; name another.")) is None
    assert "an answer of another (Gloo: connection closed)" in str(
        lost_process(RuntimeError("Gloo: connection closed"))
    )
