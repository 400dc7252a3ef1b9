"""Data parallelism: one mesh axis over all devices of all processes; batches are split, the state is copied."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxdet.checks import InputError
from jaxdet.types import Batch


def data_mesh() -> Mesh:
    """Lays all devices along one axis, "data", process by process: a global batch is the processes' rows in order."""
    # jax.make_mesh may order them by their wiring, and then the gathered rows are no more in the processes' order.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    # Auto axes: under Explicit ones, the default since jax 0.10, dropout and reshape of a sharded array fail.
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def split(mesh: Mesh) -> NamedSharding:
    """Is the sharding of a batch: rows split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def copied(mesh: Mesh) -> NamedSharding:
    """Is the sharding of the state: whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch_size(batch_size: int, mesh: Mesh, *, accumulate: int = 1) -> None:
    """Raises InputError unless every device gets as many of the batch's rows in each accumulated part."""
    unit = mesh.size * accumulate
    if batch_size % unit:
        raise InputError(
            f"batch size must be a multiple of devices x accumulated parts ({mesh.size} x {accumulate}), "
            f"got {batch_size}; take {-(-batch_size // unit) * unit}."
        )


def shard_batch(batch: Batch, mesh: Mesh) -> Batch:
    """Splits a host batch over the devices; in a run of several processes each gives its own rows.

    Raises:
      InputError: if the global batch size is no multiple of the number of devices.
    """
    check_batch_size(batch.image_id.shape[0] * jax.process_count(), mesh)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(split(mesh), rows), batch)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a pytree of arrays, the same in every process, to every device."""
    return jax.device_put(tree, copied(mesh))
