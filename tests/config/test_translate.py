"""Workdirs of format 1, which had the section `model`, are translated to the present format."""

import copy
import json
import pathlib

import pytest

from configs import fast_devkit, faster_devkit, faster_devkit_alternating, rcnn_devkit
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.parse import parse
from jaxdet.config.translate import FORMAT, LATER_FIELDS, LATER_FIELDS_OF_RCNN, translate

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
# The experiment.json of each system as format 1 wrote it.
FILES = (
    "experiment_1_faster_shapes.json",
    "experiment_1_faster_devkit_alternating.json",
    "experiment_1_rcnn_devkit.json",
)


@pytest.fixture(params=FILES)
def stored(request):
    return json.loads((GOLDEN / request.param).read_text())


def test_a_format_1_workdir_can_be_parsed(stored, tmp_path):
    (tmp_path / "experiment.json").write_text(json.dumps(stored))
    config, class_names = experiment_json.read(tmp_path)
    experiment = parse(config)
    assert experiment.name == stored["config"]["name"] and class_names == tuple(stored["class_names"])
    assert experiment.net.init == "looks_linear"
    assert experiment.head.roi_targets.batch_size == stored["config"]["model"]["roi_targets"]["batch_size"]
    assert experiment.net.preprocessing == stored["config"]["net"]["normalisation"]


def test_learning_rates_of_kernels_stay_the_same():
    stored = json.loads((GOLDEN / FILES[0]).read_text())
    assert stored["config"]["optim"]["rate_by_fan_in"]
    optim = translate(stored, pathlib.Path("x"))["config"]["optim"]
    assert (optim["learning_rate"], optim["reference_fan_in"]) == (0.02, 2)  # times sqrt(2 / fan-in), as before


def test_the_same_experiment_can_resume_in_a_format_1_workdir(tmp_path):
    stored = json.loads((GOLDEN / FILES[1]).read_text())
    (tmp_path / "experiment.json").write_text(json.dumps(stored))
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    config, class_names = experiment_json.read(tmp_path)
    experiment_json.claim(tmp_path, config, class_names, stored["images"])


@pytest.mark.parametrize(
    ("module", "later"),
    [(faster_devkit_alternating, LATER_FIELDS), (fast_devkit, LATER_FIELDS), (rcnn_devkit, LATER_FIELDS_OF_RCNN)],
)
def test_fields_that_are_newer_than_a_file_get_the_value_of_before(module, later):
    present = {"format": FORMAT, "config": module.get_config().to_dict()}

    def check(older, got, expected):
        for name, value in expected.items():
            if isinstance(value, dict):
                if name in got:
                    check(older[name], got[name], value)
            else:
                assert name not in older and got[name] == value

    older = without(present["config"], later)
    translated = translate({"format": FORMAT, "config": older}, pathlib.Path("x"))["config"]
    check(older, translated, later)
    assert without(translated, later) == older
    parse(translated)


def without(config, fields):
    """Return a config without these fields."""
    names = {name for name, value in fields.items() if not isinstance(value, dict)}
    return {
        name: without(value, fields.get(name, {})) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in names
    }


@pytest.mark.parametrize(
    ("section", "field", "value", "error"),
    [
        ("optim", "clip_norm", 1.0, "x/experiment.json: optim.clip_norm must be None, which is all that is left"),
        ("roi_targets", "add_ground_truth", False, "model.roi_targets.add_ground_truth must be True, which is all"),
    ],
)
def test_removed_options_are_refused(section, field, value, error):
    stored = json.loads((GOLDEN / FILES[0]).read_text())
    where = stored["config"]["optim"] if section == "optim" else stored["config"]["model"]["roi_targets"]
    where[field] = value
    with pytest.raises(InputError, match=error):
        translate(stored, pathlib.Path("x/experiment.json"))


def test_the_present_format_is_unchanged_and_a_later_one_refused(tmp_path):
    config = faster_devkit.get_config().to_dict()
    experiment_json.claim(tmp_path, config, ("a",), "images")
    written = json.loads((tmp_path / "experiment.json").read_text())
    assert written["format"] == FORMAT
    assert translate(copy.deepcopy(written), tmp_path) == written
    (tmp_path / "experiment.json").write_text(json.dumps(written | {"format": FORMAT + 1}))
    with pytest.raises(InputError, match="must have format 1 or 2, got 3, which a later version wrote; use that vers"):
        experiment_json.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "{}", '{"config": {}}', '{"config": 3, "class_names": []}'),
        *('{"format": 2}', '{"format": 2, "config": {}}', '{"format": 2, "config": 3, "class_names": []}'),
    ],
)
def test_other_json_is_refused(content, tmp_path):
    (tmp_path / "experiment.json").write_text(content)
    with pytest.raises(InputError, match="experiment.json is not what train.py wrote .*; restore it"):
        experiment_json.read(tmp_path)
