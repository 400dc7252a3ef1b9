"""curves.png is drawn from metrics.jsonl where matplotlib is installed; without it one line says so."""

import builtins
import json
import sys
import types

import pytest

from jaxdet.training.curves import MISSING, Curves, metric_series

LINES = [
    {"step": 5, "stage": "joint", "split": "train", "loss": 2.0, "learning_rate": 0.1, "time": {"unix": 1}},
    {"step": 5, "stage": "joint", "split": "val", "val_loss": 2.5, "val_map": 0.25, "time": {"unix": 1}},
    {"step": 10, "stage": "joint", "split": "train", "loss": 1.0, "grad_norm": 3.0, "time": {"unix": 2}},
    {"step": 10, "stage": "joint", "split": "val", "val_loss": 1.5, "val_map": None, "time": {"unix": 2}},
]


def written(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    return Curves(tmp_path)


def test_the_panels_hold_losses_map_and_rate():
    assert metric_series(LINES) == {
        "loss": {"loss": [(5, 2.0), (10, 1.0)], "val_loss": [(5, 2.5), (10, 1.5)]},
        "mAP": {"val_map": [(5, 0.25)]},
        "learning rate": {"learning_rate": [(5, 0.1)]},
        "others": {"grad_norm": [(10, 3.0)]},
    }


def test_without_matplotlib_one_line_names_the_extra(tmp_path, monkeypatch, caplog):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    curves = written(tmp_path)
    with caplog.at_level("INFO"):
        curves.draw()
        curves.draw()
    assert [record.message for record in caplog.records] == [MISSING]
    assert not (tmp_path / "curves.png").exists()


def test_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    written(tmp_path).draw()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_that_cannot_be_drawn_end_no_training(tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise ValueError("image size of 10000000 pixels is too large")

    figure = types.SimpleNamespace(Figure=fail)
    for name, module in {
        "matplotlib": types.ModuleType("matplotlib"),
        "matplotlib.backends": types.ModuleType("backends"),
        "matplotlib.backends.backend_agg": types.SimpleNamespace(FigureCanvasAgg=None),
        "matplotlib.figure": figure,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    curves = written(tmp_path)
    curves.draw()
    curves.draw()
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / 'curves.png'} cannot be drawn (ValueError: image size of")
