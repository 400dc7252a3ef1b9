"""Cycles and memory of detection and of a training step on a TPU, as its compiler estimates them; no TPU is needed.

    pip install --no-deps --target=LIBTPU "libtpu==0.0.42.*"     # the release that jax 0.10.2 asks for
    PYTHONPATH=.:LIBTPU python -m benchmarks.tpu --config=faster_voc --images=8 --bucket=608x800 --dtype=bfloat16

The estimate is a lower bound, good for comparing two versions: loops whose length depends on the data count once, and
what has no estimate is listed by name. A v5e multiplies 4 x 128 x 128 pairs per cycle, so 197 TFLOP/s are 1.5 GHz.
`--topology=v5e:2x4 --devices=8` compiles for a v5e-8 and lists what the devices exchange: one all-reduce of the
gradients is expected.
"""

import argparse
import importlib
import os
import pathlib
import time

# Before jax starts: the compiler asks neither a TPU nor its metadata server.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from benchmarks.tpu_cycles import estimate
from jaxdet.config.fields import keywords
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.data.collate import empty_batch
from jaxdet.recipes.stage import trainable_paths
from jaxdet.systems import SYSTEMS, build_detector
from jaxdet.training import state
from jaxdet.training.optimizer import make_optimizer
from jaxdet.training.sharding import make_predict
from jaxdet.training.step import make_train_step

PROGRAMS = ("detection", "step")
PROPOSALS = 2000  # per image, of configs that are given them


def tpu_mesh(topology: str, devices: int) -> Mesh:
    """Return a mesh of TPU devices to compile for; raises SystemExit without libtpu."""
    try:
        import libtpu
    except ImportError:
        raise SystemExit(
            "libtpu, the TPU's compiler, is not on the path. Install it into a folder of its own, "
            'pip install --no-deps --target=LIBTPU "libtpu==0.0.42.*", and put that folder on PYTHONPATH.'
        ) from None
    os.environ.setdefault("TPU_LIBRARY_PATH", str(pathlib.Path(libtpu.__file__).with_name("libtpu.so")))
    described = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    if len(described) < devices:
        raise SystemExit(f"{topology} has {len(described)} devices, fewer than {devices}; give --topology=v5e:2x4.")
    return Mesh(np.array(described[:devices]), ("data",), axis_types=(AxisType.Auto,))


def programs(config, *, images: int, bucket: tuple[int, int], mesh: Mesh) -> dict:
    """Return the jitted functions of PROGRAMS, each with the shapes of its arguments for `images` images per device."""
    config.training.accumulate = 1
    experiment = resolve_config(parse(config.to_dict()), pathlib.Path("none"))
    detector = build_detector(experiment, tuple(f"class {k}" for k in range(20)))
    proposals = PROPOSALS if SYSTEMS[experiment.system].needs_proposals else 0
    rows = empty_batch(bucket, images * mesh.size, max_gt=experiment.input.max_gt, max_proposals=proposals)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), rows)
    tx, schedule = make_optimizer(**keywords(experiment.optim), steps=experiment.training.steps)
    trainable = trainable_paths(detector, experiment.training.frozen)

    def init(key):
        return state.create(detector.init(key), tx, key, trainable=trainable.__contains__)

    key = jax.random.key(0)
    return {
        "detection": (make_predict(detector.predict, mesh), (jax.eval_shape(detector.init, key), batch)),
        "step": (make_train_step(detector.loss, tx, mesh), (jax.eval_shape(init, key), batch, schedule(0))),
    }


def report(name: str, lowered, images: int, *, shown: int = 20) -> float:
    """Compile a program, print what it costs and return its estimated cycles per image, in millions."""
    started = time.process_time()
    compiled = lowered.compile()
    seconds = time.process_time() - started
    costs, memory = estimate(compiled.as_text()), compiled.memory_analysis()
    per_image = costs.total / 1e6 / images
    temporary = memory.temp_size_in_bytes
    total = temporary + memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    print(
        f"{name}: {per_image:.2f} Mcycles per image; {total / 2**30:.2f} GiB of memory, "
        f"{temporary / 2**30:.2f} of them temporary; compiled in {seconds:.0f} s of CPU"
    )
    for part, cycles in costs.parts.most_common(shown):
        print(f"  {cycles / 1e6 / images:7.3f}  {100 * cycles / costs.total:5.1f} %  {part}")
    for loop, cycles in costs.loops:
        print(f"  loop of unknown length, counted once: {loop}, {cycles / 1e6 / images:.3f} Mcycles per image and trip")
    for description, runs in costs.silent.items():
        print(f"  no estimate: {description}" + (f", {runs} times" if runs > 1 else ""))
    for description, runs in costs.collectives.items():
        print(f"  exchanged: {description}" + (f", {runs} times" if runs > 1 else ""))
    return per_image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="faster_voc", help="name of a file in configs/")
    parser.add_argument("--images", type=int, default=8, help="per device")
    parser.add_argument("--bucket", default="608x800", help="height x width")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--topology", default="v5e:2x2", help="of the devices to choose from")
    parser.add_argument("--devices", type=int, default=1, help="of the topology")
    parser.add_argument("--program", default="", choices=("", *PROGRAMS), help="one alone")
    flags = parser.parse_args()
    config = importlib.import_module(f"configs.{flags.config}").get_config()
    config.net.compute_dtype = flags.dtype
    bucket = tuple(int(side) for side in flags.bucket.split("x"))
    mesh = tpu_mesh(flags.topology, flags.devices)
    reckoned = {}
    for name, (function, arguments) in programs(config, images=flags.images, bucket=bucket, mesh=mesh).items():
        if flags.program in ("", name):
            reckoned[name] = report(name, function.lower(*arguments), flags.images)
    print("reckoned: " + ", ".join(f"{name} {cycles:.1f}" for name, cycles in reckoned.items()) + " Mcycles an image")


if __name__ == "__main__":
    main()
