"""Runs of the root scripts on tiny experiments, and of code, each in a process of its own.

The processes are forked from one that has imported jaxdet: importing takes longer than the work.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from configs import fast_devkit
from jaxdet.proposals.file import save_proposals
from jaxdet.proposals.search import search_key
from jaxdet.proposals.selective_search import selective_search
from jaxdet.training.restore import restore_params
from jaxdet.training.state import flatten
from jaxdet.types import ProposalTable
from tests import xla
from tests.devkit import Devkit

ROOT = pathlib.Path(__file__).parents[1]

# A tiny Faster R-CNN: it compiles in seconds and takes 20 ms per step.
TINY_NET = (
    "--config.net.width=0.0625",
    "--config.net.head_features=16",
    "--config.rpn.train_proposals.pre_nms_top_n=100",
    "--config.rpn.train_proposals.post_nms_top_n=32",
    "--config.rpn.test_proposals.pre_nms_top_n=100",
    "--config.rpn.test_proposals.post_nms_top_n=16",
    "--config.head.roi_targets.batch_size=16",
    "--config.input.short_side=96",
    "--config.input.long_side=96",
    "--config.training.batch_size=2",
    "--config.evaluation.batch_size=2",
)
TINY_SHAPES = (
    *TINY_NET,
    "--config.dataset.image_size=96",
    "--config.dataset.train=8",
    "--config.dataset.validation=4",
    "--config.dataset.test=4",
    "--config.training.steps=24",
    "--config.training.log_every=3",
    "--config.training.eval_every=10",
    "--config.training.checkpoint_every=4",
)

# The other systems of the family on the images of draw_photos.
TINY_PHOTOS = (
    "--config.net.backbone=zf",
    "--config.net.width=0.0625",
    "--config.net.head_features=16",
    "--config.head.roi_targets.batch_size=8",
    "--config.input.short_side=64",
    "--config.input.long_side=64",
    "--config.optim.warmup_steps=0",
    "--config.evaluation.batch_size=2",
    "--config.evaluation.pictures=1",
    "--config.training.log_every=1",
    "--config.training.checkpoint_every=1",
)
SEARCH = {"max_boxes": 8, "min_side": 8.0, "width": 64}
TINY_SEARCH = (
    *(f"--config.proposals.{name}={value}" for name, value in SEARCH.items()),
    "--config.proposals.workers=1",
)


@dataclasses.dataclass
class Script:
    """A running script; both of its output streams go to the file `printed`."""

    process: multiprocessing.process.BaseProcess
    printed: pathlib.Path

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert self.process.is_alive(), f"ended too early: {self.printed.read_text()}"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self) -> tuple[int, str]:
        """Wait for the end; return the exit code (negative: the signal that killed it) and the output."""
        self.process.join(300)
        assert self.process.exitcode is not None, f"does not end: {self.printed.read_text()}"
        return self.process.exitcode, self.printed.read_text()

    def end(self, *, code: int = 0) -> str:
        """Wait for the end with this exit code; return the output."""
        exit_code, printed = self.wait()
        assert exit_code == code, printed
        return printed


class Scripts:
    """Starts scripts that share a folder of prepared data and a cache of compiled programs."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._started = 0
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["jaxdet.train", "jaxdet.evaluate", "jaxdet.predict", "jaxdet.convert"])

    def start(self, script: str, *arguments: str) -> Script:
        return self._fork((script, *arguments))

    def start_code(self, code: str, *arguments: str, devices: int = 1) -> Script:
        """Start Python code with these arguments, as `python -c` does, on a CPU of so many devices."""
        return self._fork(("-c", *arguments), code, devices)

    def _fork(self, argv: tuple[str, ...], code: str = "", devices: int = 1) -> Script:
        self._started += 1
        printed = self.folder / f"printed{self._started}"
        printed.touch()
        job = argv, code, devices, str(printed), str(self.folder / "xla")
        process = self._processes.Process(target=_run, args=job)
        process.start()
        return Script(process, printed)

    def run(self, script: str, *arguments: str, code: int = 0) -> str:
        """Run a script to its end with this exit code; return its output."""
        return self.start(script, *arguments).end(code=code)

    def take_compiled(self, other: "Scripts") -> None:
        """Add the compiled programs of other scripts, none of which runs any longer, to the cache."""
        (self.folder / "xla").mkdir(exist_ok=True)
        for program in other.folder.glob("xla/*"):
            with contextlib.suppress(FileExistsError):
                (self.folder / "xla" / program.name).hardlink_to(program)

    def train(self, workdir: pathlib.Path, *more: str) -> Script:
        """Start training the tiny Faster R-CNN on shapes."""
        data = f"--config.dataset.data_dir={self.folder / 'data'}"
        return self.start("train.py", f"--workdir={workdir}", data, *TINY_SHAPES, *more)

    def photo_flags(self) -> tuple[str, str]:
        """Return the flags of draw_photos' folder and its data folder.

        Proposals are saved there, since the workers of a search take seconds to start. The first images of train and
        val have no proposals.
        """
        from jaxdet.config.parse import parse  # few tests need what these import
        from jaxdet.inputs import open_part

        devkit, data = self.folder / "photos", self.folder / "data"
        if not devkit.exists():
            draw_photos(devkit)
            config = fast_devkit.get_config()
            config.dataset.update({"devkit": str(devkit), "data_dir": str(data)})
            config.proposals.update(SEARCH)
            experiment = parse(config.to_dict())
            for part in ("train", "validation", "test"):
                split = open_part(experiment, part)
                dataset = split.dataset
                boxes = [selective_search(dataset[i].image, **SEARCH) for i in range(len(dataset))]
                if part != "test":
                    boxes[0] = boxes[0][:0]
                starts = np.cumsum([0, *map(len, boxes)])
                table, key = ProposalTable(np.concatenate(boxes), starts), search_key(dataset, **SEARCH)
                save_proposals(split.proposals_file, table, key)
        return f"--config.dataset.devkit={devkit}", f"--config.dataset.data_dir={data}"


def draw_photos(folder: pathlib.Path) -> None:
    """Draw nine images of 64 x 64 pixels with a red square and a blue bar in VOC layout; only test has green ghosts."""
    files = Devkit(folder)
    rng = np.random.default_rng(0)
    for split, numbers in {"train": range(5), "val": range(5, 7), "test": range(7, 9)}.items():
        files.split(split, *(f"{split}{i}" for i in numbers))
        for i in numbers:
            pixels, objects = rng.integers(90, 120, (64, 64, 3), np.uint8), []
            for channel, (name, width, height) in enumerate([("square", 24, 24), ("ghost", 12, 12), ("bar", 40, 14)]):
                if name == "ghost" and split != "test":
                    continue
                x, y = rng.integers(0, 64 - width), 20 * channel + rng.integers(0, 64 - height - 20 * channel + 1)
                pixels[y : y + height, x : x + width] = np.eye(3, dtype=np.uint8)[channel] * 250
                objects.append((name, x + 1, y + 1, x + width, y + height))
            files.image(f"{split}{i}", Image.fromarray(pixels), suffix=".png")
            files.annotation(f"{split}{i}", *objects, size=(64, 64))


def run_as_users_do(scripts: Scripts, workdir: pathlib.Path) -> subprocess.CompletedProcess:
    """Train the tiny Faster R-CNN to its end in a new interpreter."""
    data = f"--config.dataset.data_dir={scripts.folder / 'data'}"
    variables = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla.QUICKLY,
        "JAX_COMPILATION_CACHE_DIR": str(scripts.folder / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # most programs here take less than a second
    }
    return subprocess.run(
        [sys.executable, "train.py", f"--workdir={workdir}", data, *TINY_SHAPES],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=900,
    )


def _run(argv: tuple[str, ...], code: str, devices: int, printed: str, compiled: str) -> None:
    with open(printed, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(ROOT)
    os.environ["XLA_FLAGS"] = f"{xla.QUICKLY} --xla_force_host_platform_device_count={devices}"
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # most programs here take less than a second
    sys.argv = list(argv)
    if code:
        exec(code, {"__name__": "__main__"})
    else:
        runpy.run_path(argv[0], run_name="__main__")


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """Return the lines of metrics.jsonl without their times; none before it exists."""
    path = workdir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def is_saving(workdir: pathlib.Path) -> bool:
    """Return whether a checkpoint is being written."""
    folder = workdir / "checkpoints"
    return folder.exists() and any(not (path / "manifest.json").exists() for path in folder.iterdir())


def assert_same_run(workdir: pathlib.Path, other: pathlib.Path) -> None:
    """Assert that two runs ended with equal parameters and metrics."""
    assert_same_params(workdir, other)
    assert read_metrics(workdir) == read_metrics(other)


def assert_same_params(workdir: pathlib.Path, other: pathlib.Path) -> None:
    actual, expected = flatten(restore_params(workdir)), flatten(restore_params(other))
    assert actual.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(actual[path], leaf)
