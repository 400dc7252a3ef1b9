"""What training logs at its end."""

import logging
from pathlib import Path

import pytest

from configs import faster_devkit
from jaxdet.config.parse import parse
from jaxdet.train import _name_next


@pytest.mark.parametrize(("lists", "flag"), [("train val test", ""), ("train val", " --split=validation")])
def test_the_next_command_evaluates_a_split_that_the_folder_has(tmp_path, caplog, lists, flag):
    folder = tmp_path / "VOC2030"
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for name in lists.split():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("a\nb\nc\n")
    config = faster_devkit.get_config()
    config.dataset.devkit = str(folder)
    caplog.set_level(logging.INFO)
    _name_next(parse(config.to_dict()), Path("runs/x"))
    assert f"jaxdet evaluate --workdir=runs/x{flag}; " in caplog.text
