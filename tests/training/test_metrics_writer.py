import json
import math

import pytest

from jaxdet.checks import InputError
from jaxdet.training.metrics_writer import MetricsWriter


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_written_as_lines_and_events(tmp_path):
    writer = MetricsWriter(tmp_path, stage="joint", start=0)
    writer.write(10, "train", {"loss": 0.1 + 0.2}, images_per_second=3.0)
    writer.write(10, "val", {"val_map": math.nan})
    writer.close()
    train, val = lines(tmp_path)
    assert train["time"].pop("unix") > 1e9
    name = {"step": 10, "stage": "joint"}
    assert train == name | {"split": "train", "loss": 0.1 + 0.2, "time": {"images_per_second": 3.0}}
    del val["time"]
    assert val == name | {"split": "val", "val_map": None}
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()
    assert b"train/images_per_second" in events.read_bytes()


def test_a_resumed_run_removes_later_and_incomplete_lines(tmp_path):
    writer = MetricsWriter(tmp_path, stage="joint", start=0)
    for step in (10, 20, 30):
        writer.write(step, "train", {"loss": 1.0 / step})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "spl')
    writer = MetricsWriter(tmp_path, stage="joint", start=20)
    writer.write(30, "train", {"loss": 7.0})
    writer.close()
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [(10, 0.1), (20, 0.05), (30, 7.0)]


def test_a_full_disk_leaves_whole_lines_and_is_one_error(tmp_path, monkeypatch):
    writer = MetricsWriter(tmp_path, stage="joint", start=0)
    writer.write(10, "train", {"loss": 1.0})

    class Full:
        def __init__(self, file):
            self._file = file

        def write(self, line):
            return self._file.write(line[:7])

        def __getattr__(self, name):
            return getattr(self._file, name)

    monkeypatch.setattr(writer, "_file", Full(writer._file))
    with pytest.raises(InputError, match="metrics.jsonl must be writable, got No space left on device; make room and"):
        writer.write(20, "train", {"loss": 1.0})
    writer.close()
    assert [line["step"] for line in lines(tmp_path)] == [10]
