"""Does a killed run end as one never interrupted? Kills train.py with SIGKILL at random moments and restarts it.

    python -m benchmarks.kill_and_resume [--kills=10] [--while-saving=3] [--seed=0] [flags of train.py]

Without a --config it takes the tests' tiny experiment, a few seconds a run. Each kill has a workdir of its own: one run
killed, one to the end. The final parameters and metrics.jsonl (but for "time") must be those of the first run, bit for
bit; the exit code says whether they all are. Needs as many checkpoints on disk as kills.
"""

import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

from tests.scripts import ROOT, TINY_SHAPES, assert_same_run, figures, saving

TINY = (*TINY_SHAPES, "--config.training.steps=60")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--while-saving", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if not any(flag.startswith("--config=") for flag in flags):
            flags = [f"--config.dataset.data_dir={folder / 'data'}", *TINY, *flags]
        rng = random.Random(given.seed)
        run(folder / "warm up", flags)  # prepares the data and compiles
        began, _ = run(folder / "whole", flags)
        seconds = time.monotonic() - began
        print(f"uninterrupted: {seconds:.1f} s of training, {len(figures(folder / 'whole'))} lines of metrics")
        print(f"{'kill':>4}  {'moment':<16}  {'lines of metrics then':>21}  {'went on from step':>17}  the same")
        results = [trial(folder, flags, n, n < given.while_saving, seconds, rng) for n in range(given.kills)]
    print(f"{sum(results)} of {len(results)} ended as the uninterrupted run")
    sys.exit(0 if all(results) else 1)


def start(workdir: pathlib.Path, flags: list[str]) -> tuple[subprocess.Popen, float]:
    """The process, and when it had read its data and built its model."""
    process = subprocess.Popen(
        [sys.executable, "train.py", f"--workdir={workdir}", *flags],
        cwd=ROOT,
        env={"JAX_COMPILATION_CACHE_DIR": str(workdir.parent / "xla")} | os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait(lambda: (workdir / "experiment.json").exists(), process)
    return process, time.monotonic()


def run(workdir: pathlib.Path, flags: list[str]) -> tuple[float, str]:
    process, began = start(workdir, flags)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(printed)
    return began, printed


def wait(condition, process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.002)


def trial(folder, flags, n: int, while_saving: bool, seconds: float, rng: random.Random) -> bool:
    workdir = folder / f"kill {n}"
    process, began = start(workdir, flags)
    moment = began + rng.uniform(0, seconds) * (0.8 if while_saving else 1)  # a save has to follow
    wait(lambda: time.monotonic() >= moment, process)
    if while_saving:
        wait(lambda: saving(workdir), process)
        time.sleep(rng.uniform(0, 0.1))
    process.kill()
    process.communicate()
    caught = saving(workdir)
    at, lines = f"{time.monotonic() - began:.1f} s" + ", saving" * caught, len(figures(workdir))
    _, printed = run(workdir, flags)
    resumed = re.search(r"resuming from the checkpoint of step (\d+)", printed)
    try:
        assert_same_run(workdir, folder / "whole")
        same = True
    except AssertionError:
        same = False
    print(f"{n + 1:>4}  {at:<16}  {lines:>21}  {resumed[1] if resumed else 'none':>17}  {'yes' if same else 'NO'}")
    return same and (caught or not while_saving)


if __name__ == "__main__":
    main()
