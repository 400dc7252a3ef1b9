"""Ctrl-C is answered at once though the main thread computes outside Python."""

import signal
import time

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
    first = "SIGINT received: stopping soon, in training after this step; press Ctrl-C again to stop now\n"
    run.wait_until(lambda: run.printed.read_text() == f"busy\n{first}")
    run.kill(signal.SIGINT)
    second = "stopped at once by Ctrl-C, without saving; the checkpoints saved before are whole\n"
    assert run.end(code=130) == f"busy\n{first}{second}"
