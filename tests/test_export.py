"""Export of a trained detector to one file: it detects as the workdir does, and is what training starts from."""

import json
import shutil

import numpy as np
import pytest

import jaxdet
from jaxdet.checks import InputError
from jaxdet.config import experiment_json, exported
from jaxdet.config.parse import parse
from jaxdet.config.resolve import resolve_config
from jaxdet.export import export
from jaxdet.io.safetensors import read_safetensors, write_safetensors
from jaxdet.training.restore import find_checkpoint, restore_params
from jaxdet.training.state import flatten

pytestmark = pytest.mark.usefixtures("programs")

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    workdir = shutil.copytree(trained[0], folder / "run")
    step = find_checkpoint(workdir, "best").name
    for split, checkpoint in (("test", step), ("train", "another")):
        measured = {"checkpoint": checkpoint, "not_as_trained": [], "mAP": {"voc07": 0.25}, "coco": {"AP": None}}
        (workdir / "evaluation" / split).mkdir(parents=True, exist_ok=True)
        (workdir / "evaluation" / split / "metrics.json").write_text(json.dumps(measured))
    export(str(workdir), str(folder / "detector.safetensors"))
    return folder / "detector.safetensors"


def test_it_holds_the_parameters_without_the_optimiser(trained, file):
    arrays, metadata = read_safetensors(file)
    params = flatten(restore_params(trained[0], "best"))
    assert arrays.keys() == params.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, params[name])
    config, class_names = experiment_json.read(file)
    assert (config, class_names) == experiment_json.read(trained[0])
    assert config["net"]["preprocessing"] == "torchvision" and config["input"]["short_side"] == 96
    metrics = json.loads(metadata[exported.KEY])["metrics"]
    assert metrics["test"] == {"voc07": 0.25, "AP": None} and "train" not in metrics
    assert 0 <= metrics["validation"]["voc10"] <= 1


def test_it_detects_as_the_workdir_does(trained, file):
    ours = jaxdet.load_detector(file)(IMAGE, threshold=0.05)
    theirs = jaxdet.load_detector(trained[0])(IMAGE, threshold=0.05)
    assert len(ours) and ours.class_names == theirs.class_names
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)


def test_scripts_take_the_file(scripts, file, tmp_path):
    printed = scripts.run("evaluate.py", f"--workdir={file}")
    assert "mean" in printed
    metrics = json.loads((file.with_suffix("") / "evaluation/test/metrics.json").read_text())
    assert metrics["checkpoint"] == file.name and metrics["not_as_trained"] == []


def test_an_exported_file_keeps_what_was_measured_when_it_is_exported_again(file, tmp_path):
    shutil.copy(file, tmp_path / "first.safetensors")
    measured = {"checkpoint": "first.safetensors", "not_as_trained": [], "mAP": {"voc07": 0.5}, "coco": {}}
    (tmp_path / "first" / "evaluation" / "train").mkdir(parents=True)
    (tmp_path / "first" / "evaluation" / "train" / "metrics.json").write_text(json.dumps(measured))
    export(str(tmp_path / "first.safetensors"), str(tmp_path / "second.safetensors"))
    metrics = exported.read_metrics(tmp_path / "second.safetensors")
    assert metrics == exported.read_metrics(file) | {"train": {"voc07": 0.5}}
    assert "| test | voc07 | 0.2500 |" in (tmp_path / "second.safetensors.md").read_text()


def test_training_starts_from_it(trained, file, tmp_path):
    config, _ = experiment_json.read(trained[0])
    config["training"]["init_from"], config["net"]["preprocessing"] = str(file), ""
    assert resolve_config(parse(config), tmp_path).net.preprocessing == "torchvision"
    assert flatten(restore_params(file)).keys() == flatten(restore_params(trained[0])).keys()


def test_the_card_describes_it(file):
    card = file.with_name(f"{file.name}.md").read_text()
    for part in ("# faster_shapes", "vgg16", "disc", "short side 96", "preprocessing torchvision", "random weights"):
        assert part in card
    assert "| test | voc07 | 0.2500 |" in card and 'load_detector("detector.safetensors")' in card
    assert "None" not in card and "nan" not in card


def test_wrong_flags_and_existing_files_are_refused(trained, file, tmp_path):
    for workdir, to, message in (
        (None, "x.safetensors", "a workdir and --to must be given"),
        (trained[0], None, "a workdir and --to must be given"),
        (trained[0], tmp_path / "x.pth", "--to must end with .safetensors or .stablehlo, got .*x.pth"),
        (
            trained[0],
            tmp_path / "x.onnx",
            "got .*x.onnx .jax2onnx does not convert detection to ONNX",
        ),
        (tmp_path / "nowhere", tmp_path / "x.stablehlo", "there is no folder or file .*nowhere"),
        (trained[0], file, "--to must name new files, got .*detector.safetensors, which exists"),
        (tmp_path / "nowhere", tmp_path / "x.safetensors", "there is no folder or file .*nowhere"),
    ):
        with pytest.raises(InputError, match=message):
            export(workdir and str(workdir), to and str(to))
    (tmp_path / "x.stablehlo").write_text("mine")
    with pytest.raises(InputError, match="got .*x.stablehlo, which exists"):
        export(str(trained[0]), str(tmp_path / "x.stablehlo"))
    assert (tmp_path / "x.stablehlo").read_text() == "mine"
    (tmp_path / "y.stablehlo.md").write_text("mine")
    with pytest.raises(InputError, match="got .*y.stablehlo.md, which exists"):
        export(str(trained[0]), str(tmp_path / "y.stablehlo"))
    assert (tmp_path / "y.stablehlo.md").read_text() == "mine" and not (tmp_path / "y.stablehlo").exists()


def changed(file, path, **entries):
    """Write the file again with other entries in its description."""
    arrays, metadata = read_safetensors(file)
    content = json.loads(metadata[exported.KEY]) | entries
    write_safetensors(path, arrays, {exported.KEY: json.dumps(content)})
    return path


def test_files_that_do_not_fit_are_refused(file, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(bytes(20))
    with pytest.raises(
        InputError, match=r"photo.jpg must be a .safetensors file that export wrote, got another file; give"
    ):
        jaxdet.load_detector(tmp_path / "photo.jpg")
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"conv1.weight": np.zeros(3, np.float32)}, {"format": "pt"})
    with pytest.raises(InputError, match="without config and class names; .* --file=.*x.safetensors --config=NAME"):
        jaxdet.load_detector(path)
    with pytest.raises(InputError, match=r"class_names must name the 4 classes of checkpoint .*x.safetensors, got 2"):
        jaxdet.load_detector(changed(file, path, class_names=["disc", "ring"]))
    config, _ = experiment_json.read(file)
    with pytest.raises(InputError, match=r"x.safetensors does not fit the config \(conv1_1/bias"):
        jaxdet.load_detector(changed(file, path, config=config | {"net": config["net"] | {"width": 0.5}}))
    with pytest.raises(InputError, match="must have format 1 or .*, got 99"):
        jaxdet.load_detector(changed(file, path, format=99))
    with pytest.raises(InputError, match="the metadata must be what `jaxdet export` wrote"):
        jaxdet.load_detector(changed(file, path, class_names=3))
    path.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match="must have the hash that the file states"):
        jaxdet.load_detector(path)
    path.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="x.safetensors: .* must lie in the file"):
        jaxdet.load_detector(path)
