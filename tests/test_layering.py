"""Imports point one way, third-party stacks stay in their folder, files stay short."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / "jaxdet").rglob("*.py"))
SCRIPTS = sorted(ROOT.glob("*.py"))

# What each folder or module of jaxdet may import from jaxdet, beside itself, types and checks. A dotted name admits
# one module of a folder; experiment, which wires everything, may import all of them.
MAY_IMPORT = {
    "types": set(),
    "checks": set(),
    "fetch": set(),
    "progress_bar": set(),
    "whole_file": set(),
    "ops": set(),
    "nets": set(),
    "models": {"nets", "ops"},
    "data": {"proposals.cache"},
    "proposals": {"evaluation.overlap"},
    "linear": {"proposals", "models", "evaluation.overlap"},
    "training": {"models.detector"},
    "evaluation": {"models"},
    "weights": set(),
    "visualize": set(),
    "export": {"models"},
    "cli": {"workdir", "train", "evaluate", "predict", "convert"},
    "workdir": set(),
    "sections": set(),
    "starting": {"workdir", "weights.pretrained", "training.checkpoints", "models.detector"},
    "photos": {"data.photo", "visualize"},
}
ANYONE = {"types", "checks", "fetch", "progress_bar", "whole_file"}
WIRING = {"experiment", "conversion", "building", "fitting", "alternating", "rcnn_stages", "rpn_proposals"}
ONLY_IN = {"flax": "nets", "optax": "training", "orbax": "training", "tensorflow_datasets": "data", "sklearn": "linear"}
NOWHERE = {"tensorflow", "torch", "torchvision"}
JAXDET = {f"jaxdet.{name}" for name in ("cli", "checks")}
SCRIPT_IMPORTS = {*JAXDET, "absl", "ml_collections"}


def imported(path):
    """Every module a file imports, at its top or inside a function, as full dotted names of what is named."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports, so that this test can read them"
            # `from jaxdet.models import detector` names a module, `from jaxdet.types import Batch` does not
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(path):
    part = path.relative_to(ROOT / "jaxdet").parts[0]
    return part.removesuffix(".py")


def within(module, allowed):
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def wrong_imports(path):
    here = layer(path)
    for module in imported(path):
        top, _, inner = module.partition(".")
        if top in NOWHERE or ONLY_IN.get(top, here) != here:
            yield module
        if top == "jaxdet" and here not in WIRING and not within(inner, MAY_IMPORT[here] | ANYONE | {here}):
            yield module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_layer_may(path):
    assert layer(path) in {*MAY_IMPORT, *WIRING, "__init__"}, "a new folder: say in MAY_IMPORT what it may import"
    wrong = sorted(set(wrong_imports(path)))
    assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}; see MAY_IMPORT and ONLY_IN above"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_only_reads_flags_and_calls(path):
    wrong = [m for m in imported(path) if m.split(".")[0] not in sys.stdlib_module_names]
    wrong = sorted(m for m in wrong if not within(m, SCRIPT_IMPORTS))
    assert not wrong, f"{path.name} must not import {wrong}; the work belongs into jaxdet/experiment.py"


def test_files_are_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in [*FILES, *SCRIPTS]}
    assert not {str(path): n for path, n in lengths.items() if n > 300}


def test_wrong_edges_are_seen(tmp_path, monkeypatch):
    """The checks above find what they look for."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    source = "import flax\nimport torch\nfrom jaxdet import models\ndef f():\n    from jaxdet.training.step import x\n"
    found = {
        "ops": ["flax", "jaxdet.models", "jaxdet.training.step.x", "torch"],
        "nets": ["jaxdet.models", "jaxdet.training.step.x", "torch"],
        "training": ["flax", "jaxdet.models", "torch"],  # only models.detector
        "evaluation": ["flax", "jaxdet.training.step.x", "torch"],
        "experiment": ["flax", "torch"],
    }
    for name, wrong in found.items():
        path = tmp_path / "jaxdet" / name / "a.py"
        path.parent.mkdir(parents=True)
        path.write_text(source)
        assert sorted(wrong_imports(path)) == wrong
    path.write_text("from jaxdet.models.detector import Detector\nfrom jaxdet.types import Batch\n")
    assert list(wrong_imports(path)) == []
