"""Data parallelism: one mesh axis over all devices of all processes; batches are split, the state is replicated."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxdet.checks import InputError
from jaxdet.ops.by_platform import lowered_for
from jaxdet.types import Batch, Detections, Params

DETECTION_MIB = 12  # of a TPU's scratch memory, see scratch_memory


def data_mesh() -> Mesh:
    """Return a mesh of all devices along one axis, "data", process by process.

    So a global batch is the rows of all processes, in the order of the processes.
    """
    # jax.make_mesh may order devices by their wiring; then the gathered rows would not be in that order.
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    # Auto axes: with Explicit ones, the default since jax 0.10, dropout and reshape of a sharded array fail.
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def platform_of(mesh: Mesh) -> str:
    """Return the platform of a mesh's devices: "cpu", "gpu" or "tpu"."""
    platform: str = mesh.devices.flat[0].platform
    return platform


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of a batch: rows split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of the state: whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch_size(batch_size: int, mesh: Mesh, *, accumulate: int = 1) -> None:
    """Raise InputError unless every device gets the same number of rows in each accumulated part."""
    unit = mesh.size * accumulate
    if batch_size % unit:
        raise InputError(
            f"batch size must be a multiple of devices x accumulated parts ({mesh.size} x {accumulate}), "
            f"got {batch_size}; take {-(-batch_size // unit) * unit}."
        )


def shard_batch(batch: Batch, mesh: Mesh) -> Batch:
    """Split a host batch over the devices; in a run of several processes each passes its own rows.

    Raises:
      InputError: the global batch size is not a multiple of the number of devices.
    """
    check_batch_size(batch.image_id.shape[0] * jax.process_count(), mesh)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(batch_sharding(mesh), rows), batch)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copy a pytree of arrays, the same in every process, to every device."""
    return jax.device_put(tree, replicated(mesh))


def make_predict(predict: Callable[[Params, Batch], Detections], mesh: Mesh) -> Callable[[Params, Batch], Detections]:
    """Return the jitted `predict`: parameters whole on every device, the batch and its detections split by rows."""
    run = on_own_rows(lambda params, batch: (predict(params, batch), ()), mesh)
    whole, rows = replicated(mesh), batch_sharding(mesh)
    return jax.jit(
        lambda params, batch: run(params, batch)[0],
        in_shardings=(whole, rows),
        out_shardings=rows,
        compiler_options=scratch_memory(platform_of(mesh), mib=DETECTION_MIB),
    )


def scratch_memory(platform: str, *, mib: int) -> dict[str, int]:
    """Return the compiler's options that give a program on a TPU less than its usual 16 MiB of scratch memory.

    So the compiler tries fewer tiles for each convolution, which takes less time. With 16 MiB it finds none for conv1_2
    in some programs and falls back to rows of ten cells, five to ten times as slow in all (benchmarks/README.md, TPU).
    """
    return {"xla_tpu_scoped_vmem_limit_kib": 1024 * mib} if platform == "tpu" else {}


def on_own_rows(
    function: Callable[[Any, Batch], tuple[Any, Any]], mesh: Mesh
) -> Callable[[Any, Batch], tuple[Any, Any]]:
    """Run a function of replicated arrays and a batch on each device's own rows; with one device, on all rows.

    So nothing is exchanged within the function, and it may contain kernels, which no compiler can split. Its forms for
    other platforms than the mesh's are not traced.

    Args:
      function: (tree, batch) -> (results, one per row; sums over rows).
      mesh: with one axis.

    Returns:
      The function of the whole batch; the sums are those over all devices.
    """

    def on_device(tree: Any, batch: Batch) -> tuple[Any, Any]:
        with lowered_for(platform_of(mesh)):
            return function(tree, batch)

    if mesh.size == 1:
        return on_device
    (axis,) = mesh.axis_names

    def run(tree: Any, batch: Batch) -> tuple[Any, Any]:
        results, sums = on_device(tree, batch)
        return results, jax.lax.psum(sums, axis)

    whole, rows = PartitionSpec(), PartitionSpec(axis)
    # check_vma would demand annotations of the kernels.
    return jax.shard_map(run, mesh=mesh, in_specs=(whole, rows), out_specs=(rows, whole), check_vma=False)
