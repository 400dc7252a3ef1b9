"""colab.ipynb on the tiny experiment, every code cell from top to bottom."""

import builtins
import json
import pathlib
import subprocess
import time
from multiprocessing import forkserver

import pytest

from jaxdet.training.restore import restore_params
from tests.scripts import ROOT, TINY_NET, TINY_SHAPES, Scripts, read_metrics

NOTEBOOK = json.loads((ROOT / "colab.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


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


def test_the_notebook_runs_from_top_to_bottom(scripts, shown, tmp_path, capsys):
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
    source = {cell["id"]: "".join(cell["source"]) for cell in CELLS}
    installing = [name for name, text in source.items() if "pip" in text or "clone" in text]
    assert installing == [cell["id"] for cell in CELLS if "colab-only" in cell["metadata"].get("tags", ())]
    for name in installing:
        before, condition, _ = source[name].partition('if "google.colab" in sys.modules:\n')
        assert condition and "pip" not in before
        assert "-r" in source[name] and "requirements-colab.txt" in source[name]
    assert (ROOT / "requirements-colab.txt").is_file()
