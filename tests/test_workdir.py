import pytest
from ml_collections import ConfigDict

from configs import faster_shapes
from jaxdet import workdir
from jaxdet.checks import InputError

CLASSES = ("disc", "ring")


def test_config_and_classes_come_back_as_they_were(tmp_path):
    config = faster_shapes.get_config()
    workdir.claim(tmp_path, config, CLASSES, "images")
    read, class_names = workdir.read(tmp_path)
    assert read.to_dict() == config.to_dict()
    assert class_names == CLASSES
    assert isinstance(read.anchors.scales, tuple)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    assert workdir.make_folder(tmp_path / "evaluation" / "test") == tmp_path / "evaluation" / "test"
    assert list((tmp_path / "evaluation" / "test").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/test must be writable, got Not a directory; free it"):
        workdir.make_folder(tmp_path / "file" / "test")


def test_the_same_experiment_goes_on_and_another_is_refused(tmp_path):
    config = ConfigDict({"seed": 0, "optim": {"learning_rate": 0.1, "boundaries": (1, 2)}})
    workdir.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    workdir.claim(tmp_path, config, CLASSES, "images")
    config.optim.learning_rate = 0.2
    config.momentum = 0.9
    with pytest.raises(InputError) as refused:
        workdir.claim(tmp_path, config, CLASSES[:1], "images")
    assert str(refused.value).startswith(
        f"workdir {tmp_path} holds another experiment: class_names is ['disc', 'ring'] there and ['disc'] here; "
        "config.momentum is None there and 0.9 here; config.optim.learning_rate is 0.1 there and 0.2 here; give another"
    )


@pytest.mark.parametrize("left", ["stages/1_rpn/checkpoints/4", "stages/2_features/key.json"])
def test_a_stage_alone_holds_the_workdir(tmp_path, left):
    config = ConfigDict({"seed": 0})
    (tmp_path / left).mkdir(parents=True)
    with pytest.raises(InputError, match="has no experiment.json"):
        workdir.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "stages").rename(tmp_path / "elsewhere")
    workdir.claim(tmp_path, config, CLASSES, "images")
    (tmp_path / "elsewhere").rename(tmp_path / "stages")
    workdir.claim(tmp_path, config, CLASSES, "images")
    with pytest.raises(InputError, match="holds another experiment: config.seed is 0 there and 1 here; give another"):
        workdir.claim(tmp_path, ConfigDict({"seed": 1}), CLASSES, "images")


def test_a_workdir_without_checkpoints_is_free(tmp_path):
    workdir.claim(tmp_path, ConfigDict({"seed": 0}), CLASSES, "images")
    workdir.claim(tmp_path, ConfigDict({"seed": 1}), CLASSES, "images")
    assert workdir.read(tmp_path)[0].seed == 1


def test_no_workdir_and_a_broken_one(tmp_path):
    with pytest.raises(InputError, match="there is no folder .*nowhere; give one that train.py wrote"):
        workdir.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no experiment.json; give a folder that train.py wrote"):
        workdir.read(tmp_path)
    (tmp_path / "experiment.json").write_text('{"config": ')
    with pytest.raises(InputError, match="experiment.json is not what train.py wrote .*; restore it or give another"):
        workdir.read(tmp_path)
