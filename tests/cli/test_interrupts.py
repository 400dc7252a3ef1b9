"""Ctrl-C is answered at once though the main thread computes outside Python."""

import os
import signal
import time

import pytest

from jaxdet.cli import interrupts

# Hashes for minutes without running Python's signal handlers, as XLA compiles.
BUSY = """
import hashlib
from jaxdet.cli import app
def main(*_):
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 400_000_000)
app.run(main)
"""


def test_ctrl_c_is_answered_while_the_main_thread_is_busy_and_a_second_one_ends_it(scripts):
    run = scripts.start_code(BUSY)
    run.wait_until(lambda: run.printed.read_text() == "busy\n")
    time.sleep(1)  # until the hash has begun
    run.kill(signal.SIGINT)
    first = "SIGINT received: stopping soon (a training after this step); press Ctrl-C again to stop now\n"
    run.wait_until(lambda: run.printed.read_text() == f"busy\n{first}")
    run.kill(signal.SIGINT)
    second = "stopped at once by Ctrl-C, without saving; the checkpoints saved before are whole\n"
    assert run.end(code=130) == f"busy\n{first}{second}"


@pytest.mark.parametrize(
    "signals, lines, ends",
    [
        ([signal.SIGTERM, signal.SIGTERM], ["SIGTERM received: stopping soon", "press Ctrl-C to stop now"], False),
        ([signal.SIGTERM, signal.SIGINT], ["SIGTERM received: stopping soon", "press Ctrl-C to stop now"], True),
        ([signal.SIGINT, signal.SIGINT], ["SIGINT received: stopping soon", "press Ctrl-C again to stop now"], True),
    ],
)
def test_signals_that_come_together_are_answered_once(monkeypatch, signals, lines, ends):
    said, ended = [], []
    monkeypatch.setattr(interrupts, "_say", said.append)
    monkeypatch.setattr(interrupts, "_end_at_once", ended.append)
    reading, writing = os.pipe()
    os.write(writing, bytes(signals))
    os.close(writing)
    interrupts._answer(reading)
    os.close(reading)
    assert len(said) == 1 and all(line in said[0] for line in lines)
    assert bool(ended) == ends
