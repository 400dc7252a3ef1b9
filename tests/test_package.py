"""The wheel, built from a copy of the checkout and installed in a folder of its own, works without the checkout."""

import pathlib
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from PIL import Image

import jaxdet
from tests.scripts import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = pathlib.Path(Image.__file__).parents[1]  # site-packages of the environment that runs the tests


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel; the build leaves files in its source folder, so this is a copy."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("jaxdet", "configs"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source"], folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that runs the console command of the installed wheel in an empty folder, and that folder."""
    environment, elsewhere = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere")
    run([sys.executable, "-m", "venv", "--without-pip", environment], elsewhere)
    python = environment / "bin/python"
    (site_packages,) = environment.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-index", "--no-deps", "--no-compile", wheel], elsewhere)
    (site_packages / "dependencies.pth").write_text(f"{DEPENDENCIES}\n")
    where = run([python, "-c", "import jaxdet; print(jaxdet.__file__)"], elsewhere).stdout
    assert where.startswith(str(site_packages)), "the checkout must not be used"
    return lambda *arguments: run([environment / "bin/jaxdet", *arguments], elsewhere, check=False), elsewhere


def run(command, folder, check=True):
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_wheel_has_every_module_and_config(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "jaxdet").rglob("*.py")}
    configs = {f"jaxdet/configs/{path.name}" for path in (ROOT / "configs").glob("*.py")}
    assert names == modules | configs | {"jaxdet/py.typed", "jaxdet/serving/page.html"}


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as file:
        (path,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = file.read(path).decode().splitlines()
        assert f"{pathlib.PurePath(path).parent}/licenses/LICENSE" in file.namelist()
    assert f"Version: {jaxdet.__version__}" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert {f"Provides-Extra: {name}" for name in ("keras", "rcnn", "test")} <= set(metadata)


def test_dependencies_have_a_lower_end_and_no_pin():
    for requirement in PYPROJECT["project"]["dependencies"]:
        assert ">=" in requirement
        assert "==" not in requirement


def test_commands_of_the_installed_package(installed):
    command, folder = installed
    assert command("--version").stdout == f"jaxdet {jaxdet.__version__}\n"
    shown = command("train", "--config=faster_shapes", "--help")
    assert "--workdir: " in shown.stdout
    wrong = command("train", "--config=faster_shape")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --config: there is no config 'faster_shape'; did you mean 'faster_shapes'?\n",
    )
    # A config in the user's folder that derives from a shipped one.
    (folder / "mine.py").write_text("from configs import faster_devkit\n\nget_config = faster_devkit.get_config\n")
    refused = command("train", "--config=mine.py")
    assert refused.returncode == 2
    assert "devkit: none is named" in refused.stderr


def test_prediction_by_the_installed_package(installed, trained):
    command, folder = installed
    workdir, *_ = trained
    Image.new("RGB", (120, 90), "green").save(folder / "photo.png")
    done = command("predict", f"--workdir={workdir}", "photo.png", "--output=drawn")
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (folder / "drawn").iterdir()}
    assert written == {"photo.png", "detections.json", ".jaxdet-files"}
