"""A config is a file or the name of a shipped one."""

import sys

import pytest

from configs import faster_shapes
from jaxdet.checks import InputError
from jaxdet.cli.config_file import SHIPPED, find_config, load_config


def test_a_shipped_config_by_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_config("faster_shapes") == str(SHIPPED / "faster_shapes.py")
    assert load_config("faster_shapes").to_dict() == faster_shapes.get_config().to_dict()


def test_a_file_comes_before_a_shipped_config_of_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faster_shapes").touch()
    assert find_config("faster_shapes") == "faster_shapes"


def test_an_unknown_config(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no config 'faster_shape'; did you mean 'faster_shapes'\?"):
        find_config("faster_shape")
    with pytest.raises(InputError, match=r"there is no file 'configs/faster_shape.py'; did you mean 'faster_shapes'\?"):
        find_config("configs/faster_shape.py")
    (tmp_path / "mine.py").touch()
    with pytest.raises(InputError, match=r"there is no file 'mines.py'; did you mean 'mine.py'\?"):
        find_config("mines.py")


def test_a_config_derives_from_a_shipped_one_wherever_it_is(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name == "configs" or name.startswith("configs.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path and str(SHIPPED.parent) != path])
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import faster_shapes\n\ndef get_config(seed='7'):\n"
        "    config = faster_shapes.get_config()\n    config.seed = int(seed)\n    return config\n"
    )
    want = faster_shapes.get_config().to_dict() | {"seed": 7}
    assert load_config(str(file)).to_dict() == want
    assert load_config(f"{file}:8").to_dict() == want | {"seed": 8}
    for name in [name for name in sys.modules if name == "configs" or name.startswith("configs.")]:
        monkeypatch.delitem(sys.modules, name)
