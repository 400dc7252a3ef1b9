"""colab.ipynb on a tiny net, every code cell from top to bottom."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import types
import zipfile
from multiprocessing import forkserver

import pytest
from packaging.requirements import Requirement

from jaxdet.cli.config_file import load_config
from jaxdet.cli.overrides import override
from jaxdet.config.parse import parse
from jaxdet.data.datasets.formats import open_folder
from jaxdet.io.safetensors import read_safetensors
from tests.folders import voc_xml, write
from tests.scripts import ROOT, TINY_NET, Scripts, read_metrics

NOTEBOOK = json.loads((ROOT / "colab.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SOURCES = {cell["id"]: "".join(cell["source"]) for cell in CELLS}
TINY = (
    *TINY_NET,
    "--config.net.backbone=zf",
    "--config.evaluation.batch_size=1",  # as in prediction: one program for both
    "--config.optim.warmup_steps=0",
    "--config.evaluation.pictures=2",
)


def execute(names, namespace):
    """Run cells as the notebook does."""
    for name in names:
        exec(compile(SOURCES[name], f"colab.ipynb, {name}", "exec"), namespace)


def settings(**fields):
    """Return the namespace after the settings cell, in which these fields were filled in."""
    namespace = {"__name__": "__main__"}
    execute(["settings"], namespace)
    assert fields.keys() < namespace.keys()
    return namespace | fields


class Forked:
    """The part of subprocess.Popen that the notebook uses, for a command in a forked process."""

    def __init__(self, scripts: Scripts, command: str, arguments: list[str]):
        self._script = scripts.start(f"{command}.py", *arguments)
        self.stdout = self._lines()

    def _lines(self):
        with self._script.printed.open() as file:
            running = True
            while running:
                running = self._script.process.is_alive()  # asked before reading, so that the last lines are read
                yield from file
                time.sleep(0.01)

    def wait(self):
        return self._script.wait()[0]


@pytest.fixture
def shown(monkeypatch):
    """Return the list of what is displayed: the paths of pictures, and pages as HTML."""
    displayed, module = [], types.ModuleType("IPython.display")
    module.display = displayed.append
    module.HTML, module.Image = str, pathlib.Path
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return displayed


def test_the_notebook_runs_from_top_to_bottom(scripts, shown, tmp_path, monkeypatch, capsys):
    popen = subprocess.Popen

    def start(command, **options):
        forked = command[1:3] == ["-m", "jaxdet"]
        return Forked(scripts, command[3], command[4:]) if forked else popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    forkserver.ensure_running()  # before the folder changes: it imports jaxdet from where it starts
    monkeypatch.chdir(tmp_path)
    more = shlex.join([*TINY, f"--config.dataset.data_dir={tmp_path / 'data'}", "--config.training.steps=2"])
    execute(list(SOURCES)[1:], settings(CONFIG="faster_devkit", FLAGS=more))
    printed = capsys.readouterr().out
    results = tmp_path / "runs/colab/detector"
    assert read_metrics(results / "run")[-1]["step"] == 2
    assert "Average precision" in printed
    pictures = [each.name for each in shown if isinstance(each, pathlib.Path) and each.name != "curves.png"]
    assert pictures == ["batch_1.jpg", "validation_2.jpg", "00.png", "01.png", "02.png"]  # curves need matplotlib
    (page,) = [each for each in shown if isinstance(each, str)]
    assert page.startswith("<iframe srcdoc=") and "&lt;html" in page
    assert read_safetensors(results / "detector.safetensors")[0]["cls_score/bias"].shape == (3,)  # and the background


@pytest.fixture
def recorded(monkeypatch):
    """Return the list of commands that the notebook starts, none of which is executed."""
    commands = []

    class Recorded:
        stdout = ()

        def __init__(self, command, **options):
            commands.append(command[1:])
            for argument in command:
                if argument.startswith("--output=") and command[3] == "doctor":
                    findings = [
                        {"topic": "splits", "flags": ["--config.splits.test="]},
                        {"topic": "advice", "flags": ["--config.net.width=0.5"]},
                    ]
                    pathlib.Path(argument.partition("=")[2]).write_text(
                        json.dumps({"findings": findings, "splits": {"train": {}, "validation": {}}})
                    )

        def wait(self):
            return 0

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return commands


def test_the_flags_fit_the_detector_that_is_fine_tuned(recorded, shown, tmp_path, monkeypatch):
    """The settings as they are, on eight TPU cores: the test above has a small net."""
    monkeypatch.chdir(tmp_path)
    question = subprocess.CompletedProcess([], 0, stdout="tpu 8\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: question)
    for _ in range(2):  # the second time is another session
        execute([name for name in SOURCES if name not in ("settings", "voc")], settings())
    assert recorded[:5] == recorded[5:]  # the same commands, so that training resumes
    by_name = {command[2]: command[3:] for command in recorded}
    assert list(by_name) == ["doctor", "train", "evaluate", "predict", "export"]
    config, workdir, *overrides = by_name["train"]
    experiment = parse(override(load_config(config.removeprefix("--config=")), overrides).to_dict())
    assert (experiment.training.pretrained, experiment.net.compute_dtype) == ("coco", "bfloat16")
    assert (experiment.training.batch_size, experiment.evaluation.batch_size) == (16, 16)
    assert experiment.training.reference_batch_size == load_config("faster_resnet50_fpn_devkit").training.batch_size
    assert experiment.splits.test == "" and experiment.net.width == 1.0  # what must be set is; advice is not
    assert workdir in by_name["evaluate"] and "--split=validation" in by_name["evaluate"]


def test_photos_may_be_a_zip_file_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "photos", {"a.jpg": "", "a.xml": voc_xml(("cat", 1, 2, 30, 40))})
    archive = tmp_path / "photos.ZIP"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, f"mine/{path.name}")
    for given in (folder, archive, archive):  # a new session unpacks it again
        namespace = settings(PHOTOS=str(given)) | {"flags": [], "RESULTS": tmp_path, "pathlib": pathlib}
        execute(["photos"], namespace)
        source = open_folder(str(namespace["photos"]))
        assert source.name == "VOC XML" and source.class_names() == ("cat",)
        assert namespace["flags"] == [f"--config.dataset.devkit={namespace['photos']}"]


def test_an_uploaded_zip_file_is_saved_with_the_results(tmp_path, monkeypatch):
    def upload():
        name = choices.pop(0)
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("a.txt", "")
        if name != "mine.zip":
            (tmp_path / name).write_text("no archive")
        return {name: b""}

    choices, results = ["a.txt", "mine.zip"], tmp_path / "results"
    results.mkdir()
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("google.colab")
    module.files = types.SimpleNamespace(upload=upload)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    with pytest.raises(ValueError, match=r"one .zip file must be uploaded, got \['a.txt'\]"):
        execute(["photos"], settings(UPLOAD=True) | {"flags": [], "RESULTS": results, "pathlib": pathlib})
    for _ in range(2):  # the second time is another session
        namespace = settings(UPLOAD=True) | {"flags": [], "RESULTS": results, "pathlib": pathlib}
        execute(["photos"], namespace)
        assert (namespace["photos"] / "a.txt").exists()
    assert choices == []


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


@pytest.mark.parametrize("name", ["", "..", "/content/drive/MyDrive", "a/b"])
def test_a_name_that_would_put_results_elsewhere_is_refused(on_colab, name):
    """Photos are unpacked into a folder of that name, which is emptied before."""
    with pytest.raises(ValueError, match=f"NAME must be the name of a folder, got '{name}'; write one without /"):
        execute(["devices"], settings(NAME=name) | {"subprocess": subprocess, "sys": sys})
    assert not on_colab


@pytest.mark.parametrize("on_drive", [True, False])
def test_results_are_saved_in_drive_where_it_is_wanted(on_colab, monkeypatch, on_drive):
    mounted = []
    sys.modules["google.colab"].drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setattr(pathlib.Path, "mkdir", lambda path, **options: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: types.SimpleNamespace(stdout="gpu 1\n"))
    namespace = settings(DRIVE=on_drive, NAME="cats") | {"subprocess": subprocess, "sys": sys}
    execute(["devices"], namespace)
    assert mounted == (["/content/drive"] if on_drive else [])
    assert namespace["workdir"] == pathlib.Path(
        "/content/drive/MyDrive/jaxdet/cats/run" if on_drive else "/content/results/cats/run"
    )


@pytest.mark.parametrize(
    ("platform", "config", "images"), [("cpu", "faster_voc", 2), ("tpu", "faster_voc_accelerator", 64)]
)
def test_voc_takes_eight_images_per_accelerator(tmp_path, platform, config, images):
    commands = []
    namespace = {"VOC": True, "platform": platform, "count": "8", "RESULTS": tmp_path}
    execute(["voc"], namespace | {"run": lambda *command: commands.append(command)})
    train, evaluate = commands
    assert train[:2] == ("train", f"--config={config}") and evaluate[0] == "evaluate"
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
