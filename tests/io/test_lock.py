import fcntl
import os
import signal
import socket

import pytest

from jaxdet.checks import InputError
from jaxdet.io.lock import locked

HOLDER = """
import sys, time
from jaxdet.io.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_workdir_is_created_and_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with locked("runs/voc") as workdir:
        assert workdir == tmp_path / "runs" / "voc"
        assert workdir.is_dir()


def test_a_second_process_is_refused_at_once_unless_the_first_was_killed(scripts, tmp_path):
    holder = scripts.start_code(HOLDER, str(tmp_path))
    try:
        holder.wait_until(lambda: holder.printed.read_text() == "held\n")
        held_by = f"host {socket.gethostname()}, pid {holder.process.pid}"
        with pytest.raises(InputError, match=held_by), locked(tmp_path):
            pass
        assert holder.process.is_alive()  # it was not waited for
    finally:
        holder.kill(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path):
        assert f"pid {os.getpid()}" in (tmp_path / "lock").read_text()


def test_the_lock_file_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_removed_between_opening_and_locking_is_opened_again(tmp_path, monkeypatch):
    flock, opened = fcntl.flock, []

    def late(file, operation):
        if not opened:
            (tmp_path / "lock").unlink()
        opened.append(file)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path), pytest.raises(InputError, match=f"pid {os.getpid()}"), locked(tmp_path):
        pass
    assert len(opened) == 3


def test_an_unwritable_workdir_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="must be writable, got a file in its place"),
        locked(tmp_path / "file" / "run"),
    ):
        pass


def test_the_lock_of_a_run_in_a_replaced_workdir_stays(tmp_path):
    with locked(tmp_path / "run") as workdir:
        workdir.rename(tmp_path / "moved")
        workdir.mkdir()
        (workdir / "lock").write_text("another's")
    assert (workdir / "lock").read_text() == "another's"
