"""Strict numerics for every test: no implicit dtype or rank promotion; pyproject turns warnings into errors."""

import logging
import os

from tests import xla

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla.QUICKLY}"

import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import pytest  # noqa: E402

from tests.scripts import Scripts, run_as_users_do  # noqa: E402

# Files of few but long tests: run last they would leave all other workers idle.
FIRST = ("test_colab.py", "test_end_to_end.py", "test_alternating.py", "test_rcnn.py", "test_family.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in FIRST)  # stable: each file stays together


def pytest_runtest_teardown():
    """Reset the log level, which absl's app.run lowers: xdist cannot send captured log lines that are not UTF-8."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def scripts(tmp_path_factory) -> Scripts:
    return Scripts(tmp_path_factory.mktemp("scripts"))


@pytest.fixture(scope="session")
def trained(scripts, tmp_path_factory):
    """Return (workdir, stdout, stderr) of the tiny Faster R-CNN, trained without interruption."""
    workdir = tmp_path_factory.mktemp("trained")
    process = run_as_users_do(scripts, workdir)
    assert process.returncode == 0, process.stderr
    return workdir, process.stdout, process.stderr
