"""The environment: versions of packages, devices, cores, disks, the compilation cache, and known traps."""

import dataclasses
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from jaxdet.checks import InputError
from jaxdet.doctor.finding import Finding
from jaxdet.training.device_memory import device_bytes, gigabytes

TOPIC = "environment"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PACKAGE = "jaxdet"
# All install the same module cv2: the one installed last wins, and removing it breaks the others.
OPENCV = (
    *("opencv-python", "opencv-python-headless"),
    *("opencv-contrib-python", "opencv-contrib-python-headless"),
)
ACCELERATORS = {"/dev/nvidia0": ("an NVIDIA GPU", 'jax with CUDA (pip install "jax[cuda13]")')}
LEAST_DISK = 2e9  # bytes: below it a few checkpoints of a detector and a prepared data set may not fit


@dataclasses.dataclass(frozen=True)
class Environment:
    """What the report shows; names -> values."""

    versions: dict[str, str]  # of Python and the packages that jaxdet needs; "missing" for one that is not installed
    devices: list[str]
    cores: int
    disks: dict[str, str]  # folder -> free space
    cache: str


def examine_environment(folders: Mapping[str, str]) -> tuple[Environment, list[Finding]]:
    """Return the environment and its faults.

    Args:
      folders: what is written where, such as {"workdir": "runs/x"}; they need not exist.
    """
    needed = requirements()
    versions = {name: installed_version(name) for name in needed}
    devices = jax.local_devices()
    free = {name: free_bytes(folder) for name, folder in folders.items()}
    environment = Environment(
        {"python": platform.python_version()} | {name: version or "missing" for name, version in versions.items()},
        [_described(device) for device in devices],
        _cores(),
        {f"{name} {folders[name]}": gigabytes(count) for name, count in free.items()},
        str(jax.config.values["jax_compilation_cache_dir"] or "none"),
    )
    findings = [
        *version_findings(needed, versions),
        *opencv_findings({name for name in OPENCV if installed_version(name)}),
        *device_findings(
            sorted({device.platform for device in devices}),
            os.environ.get("JAX_PLATFORMS", ""),
            [path for path in ACCELERATORS if Path(path).exists()],
        ),
        *(
            Finding("warning", TOPIC, f"the disk of {name} ({folders[name]}) has {gigabytes(count)} left")
            for name, count in free.items()
            if count < LEAST_DISK
        ),
    ]
    return environment, findings


def check_imports() -> None:
    """Raise InputError where packages that read the data cannot be imported together, as on Colab."""
    try:
        importlib.import_module("tensorflow_metadata.proto.v0.schema_pb2")
    except Exception as error:  # protobuf's VersionError, TypeError or ImportError, by its version
        versions = [f"{name} {installed_version(name) or 'missing'}" for name in ("tensorflow-metadata", "protobuf")]
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{versions[0]} must be importable beside {versions[1]}, got {reason}; "
            "pip install -r requirements-colab.txt, or pip install tensorflow-metadata==1.17.3."
        ) from error


def requirements() -> dict[str, str]:
    """Return name -> range, such as ">=0.7.2,<0.13", of the packages that jaxdet needs without extras."""
    if PYPROJECT.is_file():  # a clone
        lines = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        lines = [line for line in importlib.metadata.requires(PACKAGE) or [] if "extra ==" not in line]
    split = (re.match(r"([\w.-]+)\s*([^;]*)", line) for line in lines)
    return {match[1]: match[2].strip() for match in split if match}


def in_range(version: str, wanted: str) -> bool:
    """Return whether a version lies in a range of >=, > and < clauses; suffixes such as rc1 are not looked at."""
    for operator, limit in re.findall(r"(>=|<=|<|>|==)\s*([\w.]+)", wanted):
        own, other = (_numbers(text) for text in (version, limit))
        if not {">=": own >= other, "<=": own <= other, "<": own < other, ">": own > other, "==": own == other}[
            operator
        ]:
            return False
    return True


def installed_version(package: str) -> str:
    """Return the version of an installed package; '' where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def version_findings(needed: Mapping[str, str], versions: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each package, name -> range, that is missing or in a version outside its range."""
    findings = []
    for name, wanted in needed.items():
        if not versions[name]:
            if name not in OPENCV:  # another package of OpenCV has cv2 too
                findings.append(Finding("error", TOPIC, f"{name} is missing; pip install '{name}{wanted}'"))
        elif not in_range(versions[name], wanted):
            findings.append(Finding("warning", TOPIC, f"{name} {versions[name]} is not in the tested range {wanted}"))
    return findings


def opencv_findings(installed: set[str]) -> list[Finding]:
    """Return what is wrong with the installed packages that have the module cv2."""
    cure = "opencv-contrib-python-headless"
    if len(installed) > 1:
        text = f"{len(installed)} packages overwrite each other's module cv2; uninstall all of them and install {cure}"
        return [Finding("warning", TOPIC, text, tuple(sorted(installed)))]
    if installed and "contrib" not in min(installed):
        text = f"{min(installed)} lacks Selective Search, which R-CNN and Fast R-CNN need; install {cure} in its place"
        return [Finding("note", TOPIC, text)]
    return []


def device_findings(platforms: Sequence[str], chosen: str, accelerators: Sequence[str]) -> list[Finding]:
    """Return a finding where an accelerator of this machine is not used.

    Args:
      platforms: of jax's devices.
      chosen: the variable JAX_PLATFORMS.
      accelerators: the paths of ACCELERATORS that exist.
    """
    if list(platforms) != ["cpu"] or not accelerators:
        return []
    name, cure = ACCELERATORS[accelerators[0]]
    if chosen and not {"cuda", "gpu"} & set(chosen.split(",")):
        return [Finding("warning", TOPIC, f"JAX_PLATFORMS={chosen} hides {name} of this machine; unset it")]
    return [Finding("warning", TOPIC, f"this machine has {name}, which jax does not use; install {cure}")]


def free_bytes(folder: str) -> int:
    """Return the free bytes of the disk that a folder is on, or will be on."""
    path = Path(folder).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _described(device: jax.Device) -> str:
    memory = device_bytes(device)
    return f"{device.platform}: {device.device_kind}" + ("" if memory is None else f", {gigabytes(memory)}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a release, 1.10.0 as (1, 10); trailing zeros do not count."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
