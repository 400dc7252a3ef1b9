"""CPU time of jaxdet and, in turn with it, of a peer in a process of its own."""

import contextlib
import pathlib
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

Ask = Callable[[str], float]


def cpu_seconds(function: Callable[..., Any], *args: Any) -> float:
    """Return the process's CPU seconds until the result of `function(*args)` is computed."""
    start = time.process_time()
    jax.block_until_ready(function(*args))
    return time.process_time() - start


@contextlib.contextmanager
def peer(python: str, script: str, *arguments: str | pathlib.Path) -> Iterator[Ask]:
    """Start a peer; yield the function that sends it one line and returns the number it answers with.

    Prints the versions of both sides. The peer ends with the context.

    Args:
      python: interpreter of an environment with torchvision.
      script: file name in this folder; its first line of output is its version.
    """
    command = [python, pathlib.Path(__file__).with_name(script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        print(f"jax {jax.__version__} on {jax.default_backend()}, peer {process.stdout.readline().strip()}")

        def ask(line: str) -> float:
            print(line, file=process.stdin, flush=True)
            return float(process.stdout.readline())

        yield ask
        process.stdin.close()


def medians_in_turn(ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int) -> tuple[float, float]:
    """Return the medians of two measurements taken in turn, A B A B."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    our_times, their_times = zip(*pairs, strict=True)
    return statistics.median(our_times), statistics.median(their_times)
