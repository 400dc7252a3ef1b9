import pytest

from configs import faster_shapes
from jaxdet.checks import InputError
from jaxdet.config import experiment_json

CLASSES = ("disc", "ring")


def test_config_and_classes_are_read_as_written(tmp_path):
    config = faster_shapes.get_config().to_dict()
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    read, class_names = experiment_json.read(tmp_path)
    assert read == config
    assert class_names == CLASSES
    assert isinstance(read["anchors"]["scales"], tuple)


def test_the_same_experiment_resumes_and_another_is_refused(tmp_path):
    config = {"seed": 0, "optim": {"learning_rate": 0.1, "boundaries": (1, 2)}}
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    experiment_json.claim(tmp_path, config, CLASSES, "images")
    config["optim"]["learning_rate"], config["momentum"] = 0.2, 0.9
    with pytest.raises(InputError) as refused:
        experiment_json.claim(tmp_path, config, CLASSES[:1], "images")
    assert str(refused.value).startswith(
        f"workdir {tmp_path} holds another experiment: class_names is ['disc', 'ring'] there and ['disc'] here; "
        "config.momentum is None there and 0.9 here; config.optim.learning_rate is 0.1 there and 0.2 here; give another"
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
    with pytest.raises(InputError, match="there is no folder .*nowhere; give one that train.py wrote"):
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
