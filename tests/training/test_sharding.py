import dataclasses
import socket

import jax
import numpy as np
import pytest

from jaxdet.checks import InputError
from jaxdet.training import sharding
from tests.training import toy


def test_shard_batch_on_one_device_changes_no_values():
    mesh = sharding.data_mesh()
    placed = sharding.shard_batch(toy.batch(1), mesh)
    jax.tree.map(np.testing.assert_array_equal, placed, toy.batch(1))
    assert placed.image.sharding.is_equivalent_to(sharding.batch_sharding(mesh), 4)


@dataclasses.dataclass(frozen=True)
class Device:
    process_index: int
    id: int


def test_the_mesh_orders_devices_by_process(monkeypatch):
    by_wiring = [Device(0, 0), Device(1, 1), Device(1, 3), Device(0, 2)]  # as on a ring
    monkeypatch.setattr(jax, "devices", lambda: by_wiring)
    assert [device.id for device in sharding.data_mesh().devices] == [0, 2, 1, 3]


def test_a_batch_size_that_does_not_divide_is_refused():
    mesh = sharding.data_mesh()
    with pytest.raises(InputError, match=r"multiple of devices x accumulated parts \(1 x 3\), got 8; take 9"):
        sharding.check_batch_size(8, mesh, accumulate=3)


def test_a_tpu_alone_gets_an_option_for_its_scratch_memory():
    assert sharding.scratch_memory("tpu", mib=8) == {"xla_tpu_scoped_vmem_limit_kib": 8192}
    assert sharding.scratch_memory("cpu", mib=8) == {}


TWO_PROCESSES = """
import sys, jax, numpy as np
from jaxdet.cli.distributed import init_distributed
init_distributed(sys.argv[1])
from tests.training import toy
state = toy.train(sys.argv[2], steps=4)
if jax.process_index() == 0:
    np.savez(sys.argv[2] + "/final.npz", **state.trainable)
"""


def test_two_processes_train_like_one(scripts, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    runs = [scripts.start_code(TWO_PROCESSES, f"{address},2,{i}", str(tmp_path / "two")) for i in range(2)]
    for run in runs:
        run.end()
    one = toy.train(tmp_path / "one", steps=4)
    two = np.load(tmp_path / "two" / "final.npz")
    for path, leaf in one.trainable.items():
        np.testing.assert_allclose(two[path], leaf, rtol=1e-5, atol=1e-6)
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(lines[0]) == len(lines[1])


TWO_DEVICES = """
import jax, numpy as np
from jaxdet.training import sharding
from tests.training import toy
mesh, batch = sharding.data_mesh(), toy.batch(0, size=4)
assert mesh.size == 2

def rows_and_sum(offset, batch):
    assert len(batch.image_id) == 2  # the rows of one device
    return batch.image_id + offset, batch.image_id.sum()

rows, total = jax.jit(sharding.on_own_rows(rows_and_sum, mesh))(1, sharding.shard_batch(batch, mesh))
np.testing.assert_array_equal(rows, batch.image_id + 1)
np.testing.assert_array_equal(total, batch.image_id.sum())
predict = sharding.make_predict(lambda offset, batch: rows_and_sum(offset, batch)[0], mesh)
program = predict.lower(1, sharding.shard_batch(batch, mesh)).compile().as_text()
assert not any(name in program for name in ("all-reduce", "all-gather", "all-to-all", "collective-permute"))
"""


def test_devices_compute_their_own_rows_and_exchange_only_sums(scripts):
    scripts.start_code(TWO_DEVICES, devices=2).end()
