"""--distributed joins processes; tests/training/test_sharding.py trains with two."""

import pytest

from jaxdet.checks import InputError
from jaxdet.cli.distributed import init_distributed


@pytest.mark.parametrize("processes", ["2", "Auto", "host:1234,2", "host:1234,2,2", "host,2,0"])
def test_a_value_in_another_form(processes):
    with pytest.raises(
        InputError, match=f"must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0 on, got '{processes}'"
    ):
        init_distributed(processes)


def test_the_arguments_of_jax(monkeypatch):
    calls = []
    monkeypatch.setattr("jax.distributed.initialize", lambda *arguments: calls.append(arguments))
    for processes in ("", "auto", "[::1]:1234,2,1"):
        init_distributed(processes)
    assert calls == [(), ("[::1]:1234", 2, 1)]


def test_processes_that_cannot_be_reached(monkeypatch):
    def fail(*_):
        raise RuntimeError("no cluster")

    monkeypatch.setattr("jax.distributed.initialize", fail)
    with pytest.raises(InputError, match=r"--distributed=auto: the processes do not find each other \(no cluster\)"):
        init_distributed("auto")
