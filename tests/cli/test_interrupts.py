"""Ctrl-C is answered at once though the main thread computes outside Python."""

import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
# Hashes for minutes without running Python's signal handlers, as XLA compiles.
BUSY = """
import hashlib
from jaxdet.cli import app
def main(*_):
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 400_000_000)
app.run(main)
"""


def test_ctrl_c_is_answered_while_the_main_thread_is_busy_and_a_second_one_ends_it():
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "busy\n"
    time.sleep(1)  # until the hash has begun
    os.kill(process.pid, signal.SIGINT)
    assert process.stderr.readline() == (
        "SIGINT received: stopping soon, in training after this step; press Ctrl-C again to stop now\n"
    )
    os.kill(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=30)
    assert printed == "stopped by a second Ctrl-C, without saving; the checkpoints saved before are whole\n"
    assert process.returncode == 130
