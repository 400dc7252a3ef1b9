import jax
import pytest

from jaxdet.training import device_memory, sharding
from jaxdet.training.device_memory import available_bytes, batch_size_that_fits, memory_warning, needed_bytes
from jaxdet.types import WindowBatch
from tests.training import toy


@pytest.fixture(scope="module")
def state():
    tx, _ = toy.optimizer()
    return toy.fresh_state(tx, sharding.data_mesh())


class Program:
    """A program that needs the state and so many bytes."""

    def __init__(self, state, more):
        self.argument_size_in_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        self.output_size_in_bytes = self.alias_size_in_bytes = self.argument_size_in_bytes
        self.temp_size_in_bytes, self.generated_code_size_in_bytes = more, 0

    def memory_analysis(self):
        return self


def test_donated_arguments_count_once(state):
    size = Program(state, 0).argument_size_in_bytes
    assert needed_bytes(Program(state, 1000)) == size + 1000


def test_a_step_that_fits_has_no_warning(state, monkeypatch):
    monkeypatch.setattr(device_memory, "_free_host_bytes", lambda: 10**6)
    assert memory_warning(Program(state, 10**6), state, batch=toy.batch_shapes(), accumulate=1) is None


def test_a_step_that_does_not_fit_is_warned_of_with_the_batch_size_that_fits(state, monkeypatch):
    monkeypatch.setattr(device_memory, "_free_host_bytes", lambda: 10**9)
    warning = memory_warning(Program(state, 2 * 10**9), state, batch=toy.batch_shapes(), accumulate=1)
    assert "4x4 needs 2 GB per device, which has 1 GB; training.batch_size=3 should fit" in warning
    windows = WindowBatch(**vars(toy.batch_shapes()), labels=None, row=None)
    warning = memory_warning(Program(state, 2 * 10**9), state, batch=windows, accumulate=1)
    assert "which has 1 GB; compute the batch in more parts (training.accumulate)" in warning
    warning = memory_warning(Program(state, 2 * 10**9), state, batch=toy.batch_shapes(), accumulate=2)
    assert "training.batch_size=2 should fit" in warning
    warning = memory_warning(Program(state, 20 * 10**9), state, batch=toy.batch_shapes(), accumulate=1)
    assert "lower input.short_side and input.long_side" in warning


def test_nothing_is_claimed_where_memory_is_unknown(state, monkeypatch):
    monkeypatch.setattr(device_memory, "_free_host_bytes", lambda: None)
    assert available_bytes(state) is None
    assert memory_warning(Program(state, 10**18), state, batch=toy.batch_shapes(), accumulate=1) is None


def test_memory_beyond_the_state_grows_with_the_batch():
    assert batch_size_that_fits(20, 12, fixed=4, batch_size=4, unit=1) == 2
    assert batch_size_that_fits(20, 12, fixed=4, batch_size=4, unit=4) == 0
    assert batch_size_that_fits(20, 3, fixed=4, batch_size=4, unit=1) == 0


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    files = {"MEMINFO": "MemTotal: 9 kB\nMemAvailable:   64 kB\n", "CGROUP_LIMIT": "50000\n", "CGROUP_USED": "20000\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(device_memory, name, tmp_path / name)
    assert device_memory._free_host_bytes() == 30_000
    (tmp_path / "CGROUP_LIMIT").write_text("max\n")
    assert device_memory._free_host_bytes() == 65_536
