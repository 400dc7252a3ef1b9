"""The memory that a compiled train step needs on each device, and whether the device has it."""

import re
from pathlib import Path
from typing import Any

import jax

from jaxdet.training.state import TrainState
from jaxdet.types import Batch, WindowBatch

MEMINFO = Path("/proc/meminfo")
# What a container may use and uses (cgroup 2); the root has neither file.
CGROUP_LIMIT, CGROUP_USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def needed_bytes(program: Any) -> int | None:
    """Return the bytes that a compiled program needs on each device, its arguments included; None if unknown."""
    memory = program.memory_analysis()
    if memory is None:
        return None
    arrays = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return arrays + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes


def available_bytes(state: TrainState) -> int | None:
    """Return the bytes that a program may need on each device, if the state is on it; None if unknown."""
    device = jax.local_devices()[0]
    free = device_bytes(device)
    return free + _bytes(state) if free is not None and device.platform == "cpu" else free


def device_bytes(device: jax.Device) -> int | None:
    """Return the memory of a device, for a CPU each device's share of what is free; None if unknown."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit or device.platform != "cpu":
        return limit
    free = _free_host_bytes()
    return None if free is None else free // jax.local_device_count()


def memory_warning(program: Any, state: TrainState, *, batch: Batch, accumulate: int) -> str | None:
    """Return a warning with the batch size that fits, where the program needs more memory than there is.

    Args:
      batch: shapes of the global batch.
      accumulate: parts that a batch is computed in.
    """
    needed, available = needed_bytes(program), available_bytes(state)
    if needed is None or available is None or needed <= available:
        return None
    rows = batch_size_that_fits(
        needed,
        available,
        # The state, and the gradients, which are as large as what they train.
        fixed=_bytes(state) + _bytes(state.trainable),
        batch_size=batch.image.shape[0],
        unit=jax.device_count() * accumulate,
    )
    if isinstance(batch, WindowBatch):  # training.batch_size does not count its rows
        cure = "compute the batch in more parts (training.accumulate)"
    elif rows:
        cure = f"training.batch_size={rows} should fit, or compute the batch in more parts (training.accumulate)"
    else:
        cure = "lower input.short_side and input.long_side, or net.width"
    height, width = batch.image.shape[1:3]
    return (
        f"memory may run out: a step on images of {height}x{width} needs {gigabytes(needed)} per device, which has "
        f"{gigabytes(available)}; {cure}"
    )


def batch_size_that_fits(needed: int, available: int, *, fixed: int, batch_size: int, unit: int) -> int:
    """Return the largest batch size, a multiple of `unit`, that should fit if memory beyond `fixed` grows with it."""
    per_image = max(needed - fixed, 1) / batch_size
    return max(int((available - fixed) / per_image) // unit * unit, 0)


def _free_host_bytes() -> int | None:
    if not MEMINFO.exists():  # Linux only
        return None
    listed = re.search(r"MemAvailable: +(\d+) kB", MEMINFO.read_text())
    if listed is None:
        return None
    free = int(listed[1]) * 1024
    if CGROUP_LIMIT.exists() and (limit := CGROUP_LIMIT.read_text().strip()) != "max":
        free = min(free, int(limit) - int(CGROUP_USED.read_text()))
    return free


def _bytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
