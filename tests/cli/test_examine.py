"""The command doctor up to the doctor itself, which tests/doctor runs."""

import pytest

from configs import faster_devkit, faster_voc
from jaxdet.checks import InputError
from jaxdet.cli.examine import examine


@pytest.fixture
def examined(monkeypatch):
    """Return the calls of the doctor: (config, workdir, keywords)."""
    calls = []
    monkeypatch.setattr(
        "jaxdet.doctor.examine.doctor", lambda *arguments, **keywords: calls.append((*arguments, keywords))
    )
    monkeypatch.setattr("sys.argv", ["jaxdet doctor", "photos", "--config.seed=3", "--no_timing"])
    return calls


def run(config, *folders):
    examine(config, list(folders), ["--config=faster_devkit"], workdir=None, output="x.json", timing=False)


def test_a_folder_replaces_that_of_the_config_and_is_in_the_training_command(examined):
    run(faster_devkit.get_config(), "photos")
    ((config, workdir, keywords),) = examined
    assert (config.dataset.devkit, workdir) == ("photos", None)
    assert keywords["command"] == [
        *("python", "-m", "jaxdet", "train", "--config=faster_devkit", "--config.seed=3"),
        "--config.dataset.devkit=photos",
    ]
    assert (set(keywords["overridden"]), keywords["output"], keywords["timing"]) == ({"seed"}, "x.json", False)


def test_without_a_folder_the_config_stays(examined):
    config = faster_voc.get_config()
    run(config)
    assert examined[0][0] == faster_voc.get_config()


def test_a_folder_needs_a_config_for_folders(examined):
    with pytest.raises(InputError, match="photos is a folder of photos, but dataset.kind of the config is 'voc'"):
        run(faster_voc.get_config(), "photos")
    assert not examined
