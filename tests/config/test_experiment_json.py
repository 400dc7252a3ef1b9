import dataclasses
import itertools
import json
import os

import pytest

from configs import coco_resnet50_fpn, faster_devkit_alternating, faster_shapes, faster_voc, rcnn_devkit
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.fields import CONTINUES, MAY_CHANGE
from jaxdet.config.parse import parse
from jaxdet.config.schema import all_fields

CLASSES = ("disc", "ring")


def test_config_and_classes_are_read_as_written(tmp_path):
    config = faster_shapes.get_config().to_dict()
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    read, class_names = experiment_json.read(tmp_path)
    assert read == config
    assert class_names == CLASSES
    assert isinstance(read["anchors"]["scales"], tuple)


def test_the_same_experiment_resumes_and_another_is_refused(tmp_path):
    config = {"seed": 0, "optim": {"weight_decay": 0.1, "boundaries": (1, 2)}}
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    config["optim"]["weight_decay"], config["momentum"] = 0.2, 0.9
    with pytest.raises(InputError) as refused:
        experiment_json.claim(tmp_path, config, CLASSES[:1], "images")
    assert str(refused.value).startswith(
        f"workdir {tmp_path} holds another experiment: class_names is ['disc', 'ring'] there and ['disc'] here; "
        "config.momentum is None there and 0.9 here; config.optim.weight_decay is 0.1 there and 0.2 here; give another"
    )


@pytest.mark.parametrize("left", ["stages/1_rpn/checkpoints/4", "stages/2_features/key.json"])
def test_the_checkpoint_of_a_stage_claims_the_workdir(tmp_path, left):
    config = {"seed": 0}
    (tmp_path / left).mkdir(parents=True)
    with pytest.raises(InputError, match="has no experiment.json"):
        experiment_json.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "stages").rename(tmp_path / "elsewhere")
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "elsewhere").rename(tmp_path / "stages")
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    with pytest.raises(InputError, match="holds another experiment: config.seed is 0 there and 1 here; give another"):
        experiment_json.claim(tmp_path, {"seed": 1}, CLASSES, "images")


def test_a_workdir_without_checkpoints_can_be_claimed_again(tmp_path):
    experiment_json.claim(tmp_path, {"seed": 0}, CLASSES, "images")
    experiment_json.claim(tmp_path, {"seed": 1}, CLASSES, "images")
    assert experiment_json.read(tmp_path)[0]["seed"] == 1


def test_a_missing_and_a_broken_workdir_are_named(tmp_path):
    with pytest.raises(
        InputError, match="there is no folder or file .*nowhere; give one that train.py or export wrote"
    ):
        experiment_json.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no experiment.json; give a folder that train.py wrote"):
        experiment_json.read(tmp_path)
    (tmp_path / "experiment.json").write_text('{"config": ')
    with pytest.raises(InputError, match="experiment.json is not what train.py wrote .*; restore it or give another"):
        experiment_json.read(tmp_path)


def test_a_checkpoint_stands_for_its_workdir(tmp_path):
    run = tmp_path / "checkpoints" / "run"  # a workdir in a folder of this name
    experiment_json.claim(run, {"seed": 0}, CLASSES, "images")
    assert experiment_json.run_folder(run) == run
    assert experiment_json.run_folder(run / "checkpoints" / "4") == run
    assert experiment_json.run_folder(tmp_path / "other") == tmp_path / "other"


CONFIGS = (faster_shapes, faster_devkit_alternating, faster_voc, rcnn_devkit, coco_resnet50_fpn)
CONTINUED = {path for path, hint, _ in all_fields() if CONTINUES in hint.__metadata__}
FIELDS = {path: MAY_CHANGE in hint.__metadata__ for path, hint, _ in all_fields()}


def complete_config(module):
    """Return the config of a file with all its fields, as train.py claims a workdir with it."""
    return dataclasses.asdict(parse(module.get_config().to_dict()))


def section_and_name(config, path):
    """Return the section that holds a field, and the field's name; None where the system has no such field."""
    *sections, name = path.split(".")
    for section in sections:
        config = config.get(section, {})
    return (config, name) if name in config else None


def write_trained(workdir, config, validation_images=""):
    """Write experiment.json of a run that has a checkpoint."""
    experiment_json.claim(workdir, config, CLASSES, "images", validation_images)
    (workdir / "checkpoints" / "4").mkdir(parents=True)


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_each_field_either_may_change_or_is_refused_by_name(tmp_path, path):
    config = next(c for c in map(complete_config, CONFIGS) if section_and_name(c, path))
    write_trained(tmp_path, config)
    section, name = section_and_name(config, path)
    section[name] = "another" if isinstance(section[name], str) else 77
    if FIELDS[path]:
        experiment_json.claim(tmp_path, config, CLASSES, "images")
        assert section_and_name(experiment_json.read(tmp_path)[0], path)[0][name] == section[name]  # the newest
    elif path in CONTINUED:
        (change,) = experiment_json.claim(tmp_path, config, CLASSES, "images")
        assert change.startswith(f"config.{path}=77 (before: ")
        (tmp_path / "stages").mkdir()
        section[name] = 78
        with pytest.raises(InputError, match=rf"another experiment: config\.{path} is 77 there and 78 here"):
            experiment_json.claim(tmp_path, config, CLASSES, "images")
    else:
        with pytest.raises(InputError, match=rf"another experiment: config\.{path} is .* there and .* here; give"):
            experiment_json.claim(tmp_path, config, CLASSES, "images")


@pytest.mark.parametrize("name", ["workers", "log_every", "keep", "eval_every", "pictures", "devkit", "data_dir"])
def test_what_cannot_change_the_result_may_change(name):
    assert all(free for path, free in FIELDS.items() if path.endswith(f".{name}"))


def test_the_images_decide_whether_data_may_move(tmp_path):
    config = complete_config(faster_devkit_alternating)
    write_trained(tmp_path, config, "others")
    config["dataset"]["devkit"] = "/moved/photos/"
    experiment_json.claim(tmp_path, config, CLASSES, "images")  # without validation
    experiment_json.claim(tmp_path, config, CLASSES, "images", "others")
    with pytest.raises(InputError, match="training images is 'images' there and 'changed' here"):
        experiment_json.claim(tmp_path, config, CLASSES, "changed", "others")
    with pytest.raises(InputError, match="validation images is 'others' there and 'changed' here"):
        experiment_json.claim(tmp_path, config, CLASSES, "images", "changed")


def test_a_training_continues_with_more_steps_and_another_rate_on_record(tmp_path):
    config = complete_config(faster_shapes)
    write_trained(tmp_path, config)
    config["training"]["steps"], config["optim"]["learning_rate"] = 9000, 0.1
    changes = experiment_json.claim(tmp_path, config, CLASSES, "images")
    assert changes == ["config.optim.learning_rate=0.1 (before: 0.0014)", "config.training.steps=9000 (before: 2200)"]
    (tmp_path / "checkpoints" / "3000").mkdir()
    config["training"]["steps"] = 9001
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    assert experiment_json.claim(tmp_path, config, CLASSES, "images") == []
    records = json.loads((tmp_path / "experiment.json").read_text())["changes"]
    assert [(r["step"], r["field"], r["before"], r["after"]) for r in records] == [
        (4, "config.optim.learning_rate", 0.0014, 0.1),
        (4, "config.training.steps", 2200, 9000),
        (3000, "config.training.steps", 9000, 9001),
    ]
    config["training"]["steps"] = 3000
    with pytest.raises(InputError, match=r"training.steps must be above the 3000 steps that are done in .*, got 3000;"):
        experiment_json.claim(tmp_path, config, CLASSES, "images", steps=3000)
    (tmp_path / "checkpoints" / "9001").mkdir()
    config["training"]["steps"], config["optim"]["learning_rate"] = 9001, 0.2
    with pytest.raises(InputError, match=r"are done in .*, got 9001 with another optim\.learning_rate; give more"):
        experiment_json.claim(tmp_path, config, CLASSES, "images", steps=9001)
    with pytest.raises(InputError, match="holds another experiment: class_names is"):
        experiment_json.claim(tmp_path, config, CLASSES[:1], "images", steps=9001)
    assert experiment_json.claim(tmp_path, config, CLASSES, "images", steps=18_002)  # by the batch rule


def test_the_spelling_of_a_path_is_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = complete_config(faster_shapes)
    config["training"]["init_from"] = "runs/a"
    write_trained(tmp_path, config)
    config["training"]["init_from"] = f"{tmp_path}/runs/../runs/a/"
    experiment_json.claim(tmp_path, config, CLASSES, "images")


def test_a_file_from_before_a_field_resumes_with_its_default(tmp_path):
    config = complete_config(faster_shapes)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    older = {name: section for name, section in config.items() if name != "optim"}
    older["optim"] = {k: v for k, v in config["optim"].items() if k != "classifier_learning_rate_factor"}
    content = {"format": 2, "config": older, "class_names": CLASSES, "images": "images"}
    (tmp_path / "experiment.json").write_text(json.dumps(content))
    experiment_json.claim(tmp_path, config, CLASSES, "images", "others")
    assert experiment_json.read(tmp_path)[0]["optim"]["classifier_learning_rate_factor"] == 1.0


def test_every_flipped_bit_is_refused_or_harmless(tmp_path):
    config = {"seed": 5, "name": "é", "optim": {"rate": 0.1, "limit": None, "boundaries": (1, 20)}, "flip": True}
    experiment_json.claim(tmp_path, config, CLASSES, "images", "others")
    path = tmp_path / "experiment.json"
    whole = path.read_bytes()
    content = experiment_json.read(tmp_path)
    with path.open("r+b", buffering=0) as file:  # changed in place: a new file for each bit takes seconds
        for place, bit in itertools.product(range(len(whole)), range(8)):
            os.pwrite(file.fileno(), bytes([whole[place] ^ 1 << bit]), place)
            try:
                assert experiment_json.read(tmp_path) == content, (place, bit)
            except InputError as error:
                assert str(path) in str(error)
            os.pwrite(file.fileno(), whole[place : place + 1], place)


def test_an_edit_is_told_how_to_proceed(tmp_path):
    experiment_json.claim(tmp_path, {"seed": 0}, CLASSES, "images")
    path = tmp_path / "experiment.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match='got content that its checksum does not fit.*delete its line "checksum"'):
        experiment_json.read(tmp_path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "checksum" not in line))
    assert experiment_json.read(tmp_path)[0] == {"seed": 1}


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="experiment.json must be writable, got No space left on device; make room"):
        experiment_json.claim(tmp_path, {"seed": 0}, CLASSES, "images")


def test_a_run_that_stored_the_tilde_resumes_and_differs_in_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = complete_config(faster_voc)
    for spelling in ("~/w.pth", "/home/me/w.pth", "/home/me/sub/../w.pth"):
        config["training"]["pretrained_file"] = config["dataset"]["data_dir"] = spelling
        if spelling.startswith("~"):
            write_trained(tmp_path, config)
            stored, _ = experiment_json.read(tmp_path)
        experiment_json.claim(tmp_path, config, CLASSES, "images")
        assert experiment_json.differences(stored, config) == []
