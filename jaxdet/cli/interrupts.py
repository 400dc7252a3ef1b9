"""An answer to Ctrl-C and SIGTERM at once, though the main thread may be outside Python for minutes, as in XLA."""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator

ORDERLY_END = 1.0  # seconds that the main thread has to end by itself after a Ctrl-C that follows another signal


@contextlib.contextmanager
def answered_at_once() -> Iterator[None]:
    """Inside the block, answer the first signal with a line and end at a Ctrl-C after it (main thread only).

    Python runs its signal handlers in the main thread, between two bytecodes. Only the wake-up file descriptor is
    written at once; a thread reads it.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=_answer, args=(reading,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)  # ends the thread
        thread.join()
        os.close(reading)


def is_compiling() -> bool:
    """Return whether threads of training.compilation are at work; nothing can stop them, so do not wait for them."""
    return any(thread.name == "compile" for thread in threading.enumerate())


def _answer(reading: int) -> None:
    """Answer signals until the pipe is closed."""
    stopping = False
    while numbers := os.read(reading, 64):
        for number in numbers:
            if stopping and number == signal.SIGINT:
                _end_at_once(reading)
                return
            if not stopping and number in (signal.SIGINT, signal.SIGTERM):
                stopping = True
                again = " again" if number == signal.SIGINT else ""
                name = signal.Signals(number).name
                _say(f"{name} received: stopping soon (a training after this step); press Ctrl-C{again} to stop now")


def _end_at_once(reading: int) -> None:
    ready, _, _ = select.select([reading], [], [], ORDERLY_END)
    if ready and not os.read(reading, 64):
        return  # the main thread reached its handler and has ended the block
    _say("stopped at once by Ctrl-C, without saving; the checkpoints saved before are whole")
    if sys.stdout.isatty():
        os.write(1, b"\x1b[?25h")  # a progress bar hid the cursor
    os._exit(128 + signal.SIGINT)


def _say(text: str) -> None:
    # Not print: the main thread may hold the lock of stderr.
    os.write(2, f"{text}\n".encode())
