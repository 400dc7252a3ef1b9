"""Strict numerics for every test: no implicit dtype or rank promotion; pyproject turns warnings into errors."""

import gc
import json
import logging
import os
import pathlib

from tests import xla

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla.QUICKLY}"

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import pytest  # noqa: E402

from jaxdet.io.lock import open_locked  # noqa: E402
from jaxdet.ops.by_platform import lowered_for  # noqa: E402
from tests.scripts import Scripts, run_as_users_do  # noqa: E402

# Files of few but long tests: run last they would leave all other workers idle. The first makes `trained`, and the
# others do not wait for it.
FIRST = ("test_end_to_end.py", "test_alternating.py", "test_colab.py", "test_rcnn.py", "test_family.py")


def pytest_collection_modifyitems(items):
    order = {name: i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(FIRST)))  # stable: each file stays together


def pytest_collection_finish():
    """Collect garbage less often, and not among jax and the tests: it took 6 % of the CPU time of some files."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_teardown():
    """Reset the log level, which absl's app.run lowers: xdist cannot send captured log lines that are not UTF-8."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> pathlib.Path:
    """Return a folder that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


@pytest.fixture(scope="session")
def scripts(tmp_path_factory) -> Scripts:
    return Scripts(tmp_path_factory.mktemp("scripts"))


@pytest.fixture
def programs(scripts):
    """Read compiled programs from the cache of the scripts, for tests that compile what others have compiled."""
    with xla.cached(scripts.folder / "xla"):
        yield


@pytest.fixture
def for_cpu():
    """Trace only the forms for a CPU, as a step does, for tests that trace many detectors."""
    with lowered_for("cpu"):
        yield


@pytest.fixture(scope="session")
def trained(scripts, shared):
    """Return (workdir, stdout, stderr) of the tiny Faster R-CNN, trained without interruption.

    It is trained once for all workers: a test that writes into the workdir copies it first.
    """
    common, workdir, printed = Scripts(shared), shared / "trained", shared / "printed.json"
    with open_locked(shared / "lock", wait=True):
        if not printed.exists():
            process = run_as_users_do(common, workdir)
            assert process.returncode == 0, process.stderr
            printed.write_text(json.dumps([process.stdout, process.stderr]))
    scripts.take_compiled(common)
    return workdir, *json.loads(printed.read_text())
