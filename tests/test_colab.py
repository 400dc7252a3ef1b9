"""colab.ipynb on the tiny experiment, every code cell from top to bottom."""

import builtins
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
from multiprocessing import forkserver

import pytest
from packaging.requirements import Requirement
from PIL import Image

from jaxdet.training.restore import restore_params
from tests.scripts import ROOT, TINY_NET, TINY_SHAPES, Scripts, draw_photos, read_metrics

NOTEBOOK = json.loads((ROOT / "colab.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SOURCES = {cell["id"]: "".join(cell["source"]) for cell in CELLS}


class Forked:
    """The part of subprocess.Popen that the notebook uses, for a script in a forked process."""

    def __init__(self, scripts: Scripts, command: list[str]):
        self._script = scripts.start(*command)
        self.stdout = self._lines()

    def _lines(self):
        with self._script.printed.open() as file:
            running = True
            while running:
                running = self._script.process.is_alive()  # asked before reading, so that the last lines are read
                yield from file
                time.sleep(0.01)

    def kill(self):
        self._script.process.kill()

    def wait(self):
        return self._script.wait()[0]


@pytest.fixture
def shown(scripts, tmp_path, monkeypatch):
    """Return the list of the sizes of displayed images. Scripts are forked; runs/ is in tmp_path."""
    popen, pictures = subprocess.Popen, []

    def start(command, **options):
        program = pathlib.Path(command[1])
        return Forked(scripts, command[1:]) if program.suffix == ".py" else popen(command, **options)

    def display(picture):
        picture.load()  # as showing it does
        pictures.append(picture.size)

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(builtins, "display", display, raising=False)
    forkserver.ensure_running()  # before the folder changes: it imports jaxdet from where it starts
    monkeypatch.chdir(tmp_path)
    return pictures


def test_the_notebook_runs_from_top_to_bottom(scripts, trained, shown, tmp_path, capsys):
    """The programs compiled for `trained` are read from the cache."""
    both = f"--config.dataset.data_dir={scripts.folder / 'data'}", "--config.training.eval_every=0"
    own = "--config.anchors.scales=(1.5,2.5,4.5)", "--config.training.steps=4"
    tiny = {
        "SHAPES": ["--config=configs/faster_shapes.py", *TINY_SHAPES, *both, "--config.training.checkpoint_every=8"],
        "OWN": ["--config=configs/faster_devkit.py", *TINY_NET, *own, *both],
    }
    namespace = {"__name__": "__main__"}
    for cell in CELLS:
        exec(compile("".join(cell["source"]), f"colab.ipynb, {cell['id']}", "exec"), namespace)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert tiny.keys() < namespace.keys()
            namespace |= tiny

    printed = capsys.readouterr().out
    killed, resumed = printed.split("ended with code -9")
    assert "joint 24/24" not in killed
    assert "joint: resuming from the checkpoint of step" in resumed
    assert "Average precision" in resumed
    runs = tmp_path / "runs/colab"
    assert read_metrics(runs / "shapes")[-1]["step"] == 24
    assert "the weights to start from: left out" in resumed
    assert restore_params(runs / "own")["cls_score"]["bias"].shape == (3,)  # block, disc and the background
    listed = json.loads((runs / "detections/detections.json").read_text())
    assert [pathlib.Path(path).stem for path in listed] == ["20", "21", "22"]
    assert len(shown) == 5  # the sheet of test images, the example, three new photos
    assert shown[1] == (256, 192)


def test_the_notebook_has_no_outputs_and_no_magics():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    for cell in CELLS:
        assert cell["outputs"] == [] and cell["execution_count"] is None
        assert not any(line.lstrip().startswith(("!", "%")) for line in cell["source"])


def test_only_the_colab_cell_installs():
    installing = [name for name, text in SOURCES.items() if "pip" in text or "clone" in text]
    assert installing == [cell["id"] for cell in CELLS if "colab-only" in cell["metadata"].get("tags", ())]
    for name in installing:
        before, condition, _ = SOURCES[name].partition('if "google.colab" in sys.modules:\n')
        assert condition and "pip" not in before
        assert "-r" in SOURCES[name] and "requirements-colab.txt" in SOURCES[name]


@pytest.fixture
def on_colab(monkeypatch):
    """Pretend to be on Colab; return the list of commands that cells run, none of which is executed."""
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 128, stderr="fatal: repository not found")

    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    return commands


def test_on_colab_an_empty_or_wrong_address_is_refused(on_colab):
    with pytest.raises(ValueError, match="REPOSITORY is empty and there is no /content/jaxdet: give the address"):
        exec(SOURCES["install"], {"REPOSITORY": ""})
    assert not on_colab
    with pytest.raises(ValueError, match="REPOSITORY https://x.invalid/y cannot be cloned: fatal: repository not"):
        exec(SOURCES["install"], {"REPOSITORY": "https://x.invalid/y"})
    assert [command[:2] for command in on_colab] == [["git", "clone"]]


def test_on_colab_an_uploaded_folder_needs_no_address(on_colab, monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    exec(SOURCES["install"], {"REPOSITORY": ""})
    assert [command[1:4] for command in on_colab] == [["-m", "pip", "install"]]


def test_drive_is_optional(on_colab):
    namespace = {"DRIVE": False, "pathlib": pathlib, "sys": sys}
    exec(SOURCES["drive"], namespace)  # would fail at the import of google.colab.drive
    assert namespace["RUNS"] == pathlib.Path("/content/results")


@pytest.mark.parametrize("with_test_list", [True, False])
def test_photos_may_have_any_suffix_and_need_no_test_list(tmp_path, monkeypatch, with_test_list):
    """The cells on own photos, with recorded commands; training itself is in the test above."""
    photos, commands = tmp_path / "photos", []
    draw_photos(photos)  # .png
    (photos / "JPEGImages/.DS_Store").touch()
    (photos / "ImageSets/Main/val.txt").unlink()
    if not with_test_list:
        (photos / "ImageSets/Main/test.txt").unlink()

    def start(*command):
        commands.append(list(map(str, command)))
        if command[0] == "predict.py":
            listed = {str(path): [] for path in command[2:] if not str(path).startswith("--")}
            (tmp_path / "detections").mkdir()
            (tmp_path / "detections/detections.json").write_text(json.dumps(listed))
            for path in listed:
                Image.new("RGB", (8, 8)).save(tmp_path / "detections" / f"{pathlib.Path(path).stem}.png")

    pictures = []
    monkeypatch.setattr(builtins, "display", lambda picture: pictures.append(picture.copy()), raising=False)
    namespace = {"PHOTOS": str(photos), "RUNS": tmp_path, "start": start, "finish": lambda process: None}
    namespace |= {"OWN": [], "TRAIN": [], "workdir": tmp_path, "json": json, "pathlib": pathlib, "Image": Image}
    for cell in ("own", "own-train", "predict"):
        exec(SOURCES[cell], namespace)
    train, predict = commands
    assert "--config.splits.validation=" in train
    assert ("--config.splits.test=" in train) == (not with_test_list)
    photo = [pathlib.Path(argument).name for argument in predict if argument.endswith(".png")]
    assert photo == (["test7.png", "test8.png"] if with_test_list else ["test7.png", "test8.png", "train0.png"])
    assert len(pictures) == 1 + len(photo)


@pytest.mark.parametrize(
    ("platform", "config", "images"), [("cpu", "faster_voc", 2), ("tpu", "faster_voc_accelerator", 64)]
)
def test_voc_takes_eight_images_per_accelerator(tmp_path, platform, config, images):
    commands = []
    namespace = {"VOC": True, "platform": platform, "count": "8", "RUNS": tmp_path, "finish": lambda process: None}
    exec(SOURCES["voc"], namespace | {"start": lambda *command: commands.append(command)})
    train, evaluate = commands
    assert train[:2] == ("train.py", f"--config=configs/{config}.py") and evaluate[0] == "evaluate.py"
    assert f"--config.training.batch_size={images}" in train and f"--config.evaluation.batch_size={images}" in train


def installed_on_colab():
    """Return {package: version} of the command in CONTRIBUTING.md that installs Colab's versions."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"pip install --python colab ((?:\S+==\S+[ \\\n]*)+)", text)
    return dict(pin.split("==") for pin in command.replace("\\", " ").split())


def colab_requirements():
    lines = (ROOT / "requirements-colab.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in (line.partition("#")[0].strip() for line in lines) if line]


def test_the_requirements_fit_the_packages_on_colab():
    """Of the packages there only tensorflow-metadata is replaced: its 1.21.0 fails to import with protobuf 5."""
    installed = installed_on_colab()
    assert installed.keys() > {"jax", "numpy", "protobuf", "tensorflow-metadata"}
    requirements = {requirement.name: requirement.specifier for requirement in colab_requirements()}
    replaced = [name for name in requirements if name in installed and installed[name] not in requirements[name]]
    assert replaced == ["tensorflow-metadata"]


def test_the_requirements_keep_colabs_opencv_and_hold_no_test_packages():
    names = {requirement.name for requirement in colab_requirements()}
    assert not {name for name in names if "opencv" in name}
    assert not names & {"pytest", "pytest-xdist", "hypothesis", "flatbuffers"}
