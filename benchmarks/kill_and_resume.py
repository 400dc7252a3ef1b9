"""Exact resuming: train.py is killed with SIGKILL at random moments, restarted, and compared with an unkilled run.

    python -m benchmarks.kill_and_resume [--kills=10] [--while-saving=3] [--seed=0] [flags of train.py]

Without a --config it trains the tests' tiny experiment, a few seconds per run. Each kill has a workdir of its own, in
which a second run resumes to the end. The final parameters and metrics.jsonl (except "time") must equal those of the
uninterrupted run, bit for bit; the exit code is 1 if they do not. Needs disk space for one workdir per kill.
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

from tests.scripts import ROOT, TINY_SHAPES, assert_same_run, is_saving, read_metrics

TINY = (*TINY_SHAPES, "--config.training.steps=60")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--while-saving", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if not any(flag.startswith("--config=") for flag in flags):
            flags = [f"--config.dataset.data_dir={folder / 'data'}", *TINY, *flags]
        rng = random.Random(options.seed)
        run(folder / "warm up", flags)  # prepares the data and compiles
        start_time, _ = run(folder / "whole", flags)
        seconds = time.monotonic() - start_time
        print(f"uninterrupted: {seconds:.1f} s of training, {len(read_metrics(folder / 'whole'))} lines of metrics")
        print(f"{'kill':>4}  {'moment':<16}  {'lines of metrics then':>21}  {'resumed from step':>17}  the same")
        results = [trial(folder, flags, n, n < options.while_saving, seconds, rng) for n in range(options.kills)]
    print(f"{sum(results)} of {len(results)} equal the uninterrupted run and were killed as intended")
    sys.exit(0 if all(results) else 1)


def start(workdir: pathlib.Path, flags: list[str]) -> tuple[subprocess.Popen, float]:
    """Start train.py; return its process and when it had read its data and built its model."""
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
    """Train to the end; return when training started and what was printed."""
    process, start_time = start(workdir, flags)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(printed)
    return start_time, printed


def wait(condition, process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.002)


def trial(folder, flags, n: int, while_saving: bool, seconds: float, rng: random.Random) -> bool:
    workdir = folder / f"kill {n}"
    """Kill a run and resume it; return whether it equals the uninterrupted run (and was killed while saving)."""
    process, start_time = start(workdir, flags)
    moment = start_time + rng.uniform(0, seconds) * (0.8 if while_saving else 1)  # early enough for another save
    wait(lambda: time.monotonic() >= moment, process)
    if while_saving:
        wait(lambda: is_saving(workdir), process)
        time.sleep(rng.uniform(0, 0.1))
    process.kill()
    process.communicate()
    caught = is_saving(workdir)
    at, lines = f"{time.monotonic() - start_time:.1f} s" + ", saving" * caught, len(read_metrics(workdir))
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
