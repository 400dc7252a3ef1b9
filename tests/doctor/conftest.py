"""Fixtures: a folder of photos in VOC layout and the doctor's examination of one."""

import os

import pytest

from jaxdet.cli.config_file import load_config
from jaxdet.cli.overrides import override
from jaxdet.doctor.examine import doctor
from tests.devkit import Devkit
from tests.folders import snapshot

CAT, DOG = ("cat", 11, 6, 50, 50), ("dog", 1, 1, 30, 40)


@pytest.fixture
def devkit(tmp_path) -> Devkit:
    """A faultless folder of three splits with two photos each."""
    devkit = Devkit(tmp_path / "photos")
    for split in ("train", "val", "test"):
        names = [f"{split}{i}" for i in range(2)]
        devkit.split(split, *names)
        for name in names:
            devkit.image(name)
            devkit.annotation(name, CAT, DOG)
    return devkit


@pytest.fixture
def examine(devkit, tmp_path, monkeypatch):
    """Examine the folder; check that nothing but doctor.json is written."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)

    def run(*overrides, output=None):
        config = override(load_config("faster_devkit"), [f"--config.dataset.devkit={devkit.folder}", *overrides])
        before = snapshot(devkit.folder)
        report = doctor(config, None, command=["jaxdet", "train"], overridden=(), output=output, timing=False)
        assert snapshot(devkit.folder) == before
        assert sorted(os.listdir(workspace)) in ([".jaxdet-files", "doctor.json"], [])
        return report

    return run
