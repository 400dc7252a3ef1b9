"""Arguments in place of flags; tests/cli/test_main.py runs the commands."""

import pathlib

import pytest

from jaxdet.checks import InputError
from jaxdet.cli.shared_flags import one_workdir, published


def test_a_workdir_is_an_argument_or_a_flag():
    assert one_workdir(["~/x"], None, "serve") == str(pathlib.Path.home() / "x")
    assert one_workdir([], "runs/x", "serve") == "runs/x"
    assert one_workdir([], None, "serve") is None
    with pytest.raises(InputError, match="one workdir must be given, got a, runs/x; serve them one by one"):
        one_workdir(["a"], "runs/x", "serve")


def test_a_published_detector_has_its_config():
    assert published(None, "", None) is None
    detector = published("coco", "x.pth", None)
    assert (detector.name, detector.config["name"], detector.file) == ("coco", "coco_resnet50_fpn", "x.pth")
    with pytest.raises(InputError, match="--pretrained must say which detector x.pth is, got none"):
        published(None, "x.pth", None)
