"""Imports point one way, third-party stacks stay in their folder, files stay short."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# Each folder or module of jaxdet with all that it may import from jaxdet, lowest layer first: a layer names only layers
# above it in this list. A dotted name is one module of a folder. Nothing is exempt, and a permission that no file uses
# fails.
LAYERS = {
    "types": set(),
    "checks": set(),
    "io": {"checks"},
    "ops": {"checks", "types"},
    "nets": {"checks", "ops.by_platform", "types"},
    "models": {"checks", "nets", "ops", "types"},
    "weights": {"checks", "io", "nets.sizes", "types"},
    "visualize": set(),
    "evaluation": {"io", "ops.boxes_np", "types"},
    "proposals": {"checks", "io", "ops.boxes_np", "types"},
    "data": {"checks", "io", "ops.boxes_np", "types"},
    "linear": {"checks", "io", "ops.boxes_np", "types"},
    "training": {"checks", "io", "models.detector", "ops.by_platform", "types"},
    "config": {"checks", "io", "weights.pretrained"},
    "systems": {"checks", "config", "models", "nets", "ops.anchors", "training.state", "types"},
    "inputs": {"checks", "config", "data", "proposals", "systems", "types"},
    "recipes": {
        *(
            "checks",
            "config",
            "data.pipeline",
            "data.transforms",
            "evaluation",
            "inputs",
            "io",
            "linear",
            "models",
            "nets.resnet50",
            "ops.boxes_np",
            "proposals",
        ),
        *("systems", "training", "types", "visualize", "weights.pretrained"),
    },
    "load": {
        *(
            "checks",
            "config",
            "data.buckets",
            "inputs",
            "io.home",
            "models.detector",
            "nets.svd",
            "ops.boxes_np",
            "systems",
            "training.restore",
            "training.sharding",
        ),
        *("types", "weights.coco", "weights.pretrained"),
    },
    "doctor": {
        *("checks", "config", "data", "evaluation.tables", "io", "nets.fpn_net", "nets.region_net", "ops.anchors"),
        *("ops.boxes_np", "recipes", "systems", "training", "types"),
    },
    "__init__": {"checks", "config", "load", "ops", "systems", "types"},  # `import jaxdet`: the public names
    "train": {"checks", "config", "data.datasets.formats", "doctor", "inputs", "io.lock", "recipes"},
    "evaluate": {
        *("checks", "config", "evaluation", "inputs", "io", "load", "models.detector", "systems"),
        *("training.sharding", "types", "visualize", "weights.coco"),
    },
    "prediction": {"checks", "config", "data", "evaluation", "io", "load", "types", "visualize", "weights.coco"},
    "predict": {"checks", "data.image_file", "io.output_folder", "load", "prediction"},
    "serving": {"checks", "data.image_file", "load", "prediction"},
    "convert": {
        "checks",
        "config",
        "data.datasets",
        "io.lock",
        "models.fast_rcnn",
        "systems",
        "training",
        "types",
        "weights",
    },
    "exporting": {
        *("checks", "config.schema", "data.buckets", "data.collate", "io.atomic", "models.detector"),
        *("ops.by_platform", "systems", "training.state", "types"),
    },
    "export": {
        *("__init__", "checks", "config", "exporting", "io", "load", "systems", "training.restore", "training.state"),
        "types",
    },
    "cli": {
        "__init__",
        "checks",
        "config",
        "convert",
        "doctor",
        "evaluate",
        "export",
        "io.folder",
        "io.home",
        "io.progress",
        "load",
        "predict",
        "serving",
        "train",
    },
    "__main__": {"cli"},
}
# The one folder that may import a package.
ONLY_IN = {"flax": "nets", "optax": "training", "orbax": "training", "tensorflow_datasets": "data", "sklearn": "linear"}
NOWHERE = {"tensorflow", "torch", "torchvision", "tqdm"}


def files():
    return sorted((ROOT / "jaxdet").rglob("*.py"))


def layer(path):
    return path.relative_to(ROOT / "jaxdet").parts[0].removesuffix(".py")


def imported(path):
    """Yield every module a file imports, at its top or inside a function, as full dotted names of what is named."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports, so that this test can read them"
            # `from jaxdet.models import detector` names a module, `from jaxdet.types import Batch` does not
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module, names):
    return {name for name in names if module == name or module.startswith(f"{name}.")}


def inner_name(module):
    """The name below jaxdet; `import jaxdet` and `from jaxdet import load_detector` import its __init__."""
    name = module.partition(".")[2]
    public = name and not any(
        (ROOT / "jaxdet" / f"{name.partition('.')[0]}{suffix}").exists() for suffix in ("", ".py")
    )
    return "__init__" if public or not name else name


def wrong_imports(path):
    here = layer(path)
    for module in imported(path):
        top = module.partition(".")[0]
        if top in NOWHERE or ONLY_IN.get(top, here) != here:
            yield module
        if top == "jaxdet" and not within(inner_name(module), LAYERS[here] | {here}):
            yield module


def test_the_list_is_ordered():
    order = list(LAYERS)
    for name, allowed in LAYERS.items():
        assert all(order.index(other.partition(".")[0]) < order.index(name) for other in allowed), name


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_from_the_layers_below(path):
    assert layer(path) in LAYERS, f"{layer(path)} is new: give it a place in LAYERS"
    wrong = sorted(set(wrong_imports(path)))
    assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}; see LAYERS and ONLY_IN above"


def test_every_permission_is_used():
    used = {name: set() for name in LAYERS}
    for path in files():
        here = layer(path)
        for module in imported(path):
            if module.partition(".")[0] == "jaxdet":
                used[here] |= within(inner_name(module), LAYERS[here])
    unused = {name: sorted(allowed - used[name]) for name, allowed in LAYERS.items() if allowed - used[name]}
    assert not unused


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "serve", "convert", "export", "doctor"])
def test_a_script_only_calls_its_command(name):
    modules = [m for m in imported(ROOT / f"{name}.py") if m.partition(".")[0] not in sys.stdlib_module_names]
    assert all(within(module, {"jaxdet.cli"}) for module in modules), modules


def test_the_root_has_few_modules_and_files_are_short():
    modules = [path for path in (ROOT / "jaxdet").glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 12
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in [*files(), *ROOT.glob("*.py")]}
    assert not {str(path): length for path, length in lengths.items() if length > 300}


def test_wrong_imports_are_seen(tmp_path, monkeypatch):
    """The checks above see what they look for, in a root module and in a folder, and what once passed."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    source = (
        "import flax\nimport torch\nimport jaxdet\nfrom jaxdet import models\nfrom jaxdet.train import train\n"
        "def f():\n    from jaxdet.io.download import download\n"
    )
    for name in ("train.py", "types.py", "models/detector.py", "io/download.py"):
        (tmp_path / "jaxdet" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "jaxdet" / name).touch()
    wrong = {
        "ops/nms.py": ["flax", "jaxdet", "jaxdet.io.download.download", "jaxdet.models", "jaxdet.train.train", "torch"],
        "nets/vgg16.py": ["jaxdet", "jaxdet.io.download.download", "jaxdet.models", "jaxdet.train.train", "torch"],
        "training/loop.py": ["flax", "jaxdet", "jaxdet.models", "jaxdet.train.train", "torch"],  # only models.detector
        "systems.py": ["flax", "jaxdet", "jaxdet.io.download.download", "jaxdet.train.train", "torch"],
        "recipes/joint.py": ["flax", "jaxdet", "jaxdet.train.train", "torch"],
    }
    for name, modules in wrong.items():
        path = tmp_path / "jaxdet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        assert sorted(wrong_imports(path)) == modules
    path.write_text("from jaxdet.models.detector import Detector\nfrom jaxdet.types import Batch\n")
    assert list(wrong_imports(path)) == []
