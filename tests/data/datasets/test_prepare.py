import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from jaxdet.checks import InputError
from jaxdet.data.dataset import open_split
from jaxdet.data.datasets import shapes

SETTINGS = {"image_size": 96, "train": 4, "validation": 1, "test": 1, "seed": 0}


def test_a_killed_preparation_leaves_nothing_to_be_read(tmp_path):
    code = (
        "from jaxdet.data.datasets.shapes import prepare_shapes\n"
        f"prepare_shapes(data_dir={str(tmp_path)!r}, image_size=96, train=100000, validation=1, test=1, seed=0)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*incomplete*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.rglob("*incomplete*"))
    assert not list(tmp_path.glob("shapes/*/1.0.0"))
    assert len(open_split(shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS), "train")) == 4


def test_two_processes_may_prepare_at_once(tmp_path, monkeypatch):
    """The second finds the first one's finished copy when it wants to rename its own into place."""
    draw_scene, others = shapes.draw_scene, []

    def draw_while_another_finishes(rng, size):
        if not others:
            others.append(None)
            others.append(shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS))
        return draw_scene(rng, size)

    monkeypatch.setattr(shapes, "draw_scene", draw_while_another_finishes)
    builder = shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS)
    assert builder.data_path == others[1].data_path
    assert len(open_split(builder, "train")) == 4
    assert not list(tmp_path.rglob("*incomplete*"))


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="data_dir: cannot prepare .*file.*; free space there or set data_dir"):
        shapes.prepare_shapes(data_dir=str(tmp_path / "file" / "data"), **SETTINGS)


@pytest.mark.parametrize(
    ("number", "raised", "words"),
    [
        (errno.ENOSPC, InputError, "No space left on device; free space there"),
        (errno.EROFS, InputError, "Read-only file system; free space there"),
        (errno.EIO, OSError, r"^\[Errno 5\] Input/output error$"),
    ],
)
def test_only_what_cannot_be_written_is_blamed_on_the_folder(tmp_path, monkeypatch, number, raised, words):
    def fail(rng, size):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(shapes, "draw_scene", fail)
    with pytest.raises(raised, match=words):
        shapes.prepare_shapes(data_dir=str(tmp_path), **SETTINGS)
    assert not list(tmp_path.rglob("*incomplete*"))
