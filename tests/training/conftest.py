"""States of the toy, and a workdir with its checkpoints."""

import jax
import pytest

from jaxdet.training import sharding
from jaxdet.training.checkpoints import Checkpoints
from jaxdet.training.step import make_train_step
from tests.training import toy


@pytest.fixture(scope="package")
def states():
    """States of the toy after 1, 2, 3 and 4 steps."""
    mesh = sharding.data_mesh()
    tx, schedule = toy.optimizer()
    state = toy.fresh_state(tx, mesh, lambda path: path != "conv/bias")
    train_step = make_train_step(toy.loss, tx, mesh)
    copies = {}
    for step in range(1, 5):
        state, _ = train_step(state, sharding.shard_batch(toy.batch(step), mesh), schedule(step - 1))
        copies[step] = jax.tree.map(lambda leaf: leaf.copy(), state)
    return copies


@pytest.fixture
def saved(tmp_path, states):
    """Workdir with checkpoints 1 to 3."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(states[step], {"from": step})
    return tmp_path
