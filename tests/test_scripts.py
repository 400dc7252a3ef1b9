"""A user's mistakes on the command line: exit code 2 and one sentence that says what, got and cure, no traceback."""

import json

import pytest
from PIL import Image

from configs import faster_shapes
from jaxdet.config.translate import FORMAT
from jaxdet.io.lock import locked
from tests.devkit import Devkit
from tests.scripts import ROOT, TINY_SHAPES

DEVKIT, VOC = "--config=configs/faster_devkit.py", "--config=configs/faster_voc.py"


@pytest.fixture
def refused(scripts):
    """Return the function that runs a script, expects exit code 2 and returns the lines it printed."""

    def run(*command):
        printed = scripts.run(*command, code=2)
        assert "Traceback" not in printed
        lines = printed.splitlines()
        assert lines[-1].startswith("error: ")
        return lines

    return run


@pytest.mark.parametrize("module", ["numpy", "jax.numpy"])
def test_running_out_of_memory_is_one_line(refused, tmp_path, module):
    script = "import {0}\nfrom jaxdet.cli.app import run\n\nrun(lambda *_: {0}.ones((1 << 45,)) + 1)\n"
    (tmp_path / "greedy.py").write_text(script.format(module))
    (line,) = refused(str(tmp_path / "greedy.py"))
    assert line.startswith("error: memory must hold what is computed, got ")
    assert "lower training.batch_size" in line and "raise training.accumulate" in line


@pytest.fixture
def run_folder(tmp_path):
    """Return a folder with an experiment.json and no checkpoints."""
    config = faster_shapes.get_config().to_dict()
    (tmp_path / "experiment.json").write_text(json.dumps({"format": FORMAT, "config": config, "class_names": ["disc"]}))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("train.py --config.training.stepss=3", "config: no field 'training.stepss'; did you mean 'training.steps'?"),
        ("train.py --config.net.widht=3", "config: no field 'net.widht'; did you mean 'net.width'?"),
        ("train.py --config.trainin.steps=3", "config: no field 'trainin'; did you mean 'training'?"),
        (
            "train.py --config=configs/faster_devkit_alternating.py --config.training.steps=3",
            "no field 'training.steps'; did you mean 'stages.fast_rcnn.steps' or 'stages.rpn.steps'?",
        ),
        ("train.py --config.seed.of=3", "config: seed has no fields; write --config.seed=value."),
        ("train.py --config.optim=sgd", "config: optim is a section; set its fields: --config.optim.bias_learning_"),
        ("train.py --config.training.steps=many", "--config.training.steps must be int, got 'many'; the config file"),
        ("train.py --config.input.flip=maybe", "--config.input.flip must be bool, got 'maybe'; the config file shows"),
        ("train.py --config.anchors.scales=a", "--config.anchors.scales must be like (1.5, 2.5, 4.5), got 'a'; write"),
        ("train.py --config=configs/faster_sheps.py", "no file 'configs/faster_sheps.py'; did you mean 'configs/faste"),
        (
            "train.py --config=faster_sheps",
            "--config: there is no config 'faster_sheps'; did you mean 'faster_shapes'?",
        ),
        ("train.py --config=", "--config: there is no config ''; valid names: coco_resnet50_fpn, fast_devkit, "),
        ("train.py --config", "Missing value for flag --config"),
        ("train.py steps=3", "'steps=3' is not a flag; flags are written --name=value."),
        ("train.py --wrokdir=x", "Unknown command line flag 'wrokdir'. Did you mean: workdir ?"),
        (
            "train.py --distributed=host:1234,2,2",
            "--distributed must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0",
        ),
        (
            "train.py --workdir=nowhere",
            "--workdir=nowhere holds no run to resume; add --config=NAME to start one there.",
        ),
        ("evaluate.py --distributed=2", "got '2'; such as --distributed=10.0.0.1:1234,2,0 on the first of two hosts."),
        ("evaluate.py", "--workdir is missing; give the folder that train.py wrote, such as runs/faster_shapes."),
        (
            "evaluate.py --config.seed=3",
            "--config.seed=3 changes a config, and none is given; add --config=NAME.",
        ),
        ("evaluate.py --split=tset", "flag --split=tset: value should be one of <train|validation|test>"),
        (
            "export.py --workdir=x --config.seed=3",
            "--config.seed=3 changes a config, and this command takes none; remove it.",
        ),
        ("predict.py photo.jpg --config.seed=3", "none is given; add --workdir=... or --pretrained=coco."),
        ("predict.py photo.jpg --pretrained_file=x.pth", "must say which detector x.pth is, got none; add --pretrain"),
        ("predict.py photo.jpg", "--workdir is missing; give the folder that train.py wrote"),
    ],
)
def test_wrong_flags_are_refused(refused, command, error):
    (line,) = refused(*command.split())
    assert error in line


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def get_config(:\n", "line 1: SyntaxError: invalid syntax"),
        ("import nonesuch\n", "line 1: ModuleNotFoundError: No module named 'nonesuch'; fix that line."),
        ("def get_config():\n    return int('a')\n", "line 2: ValueError: invalid literal for int()"),
        ("def get_config():\n    pass\n", "must have a function get_config() that returns a ConfigDict."),
        (
            "from configs import faster_voc\ndef get_config():\n    config = faster_voc.get_config()\n"
            "    config.training.stepss = 3\n    return config\n",
            "config: no field 'training.stepss'; did you mean 'training.steps'?",
        ),
    ],
)
def test_mistakes_in_config_files_are_named(refused, tmp_path, text, error):
    file = tmp_path / "mine.py"
    file.write_text(text)
    (line,) = refused("train.py", f"--config={file}", f"--workdir={tmp_path / 'run'}")
    assert error in line
    assert str(file) in line or "training.stepss" in line


def test_a_missing_devkit_is_named(refused, tmp_path):
    run = f"--workdir={tmp_path / 'run'}"
    assert (
        "devkit: none is named; give the folder of your images: --config.dataset.devkit=path"
        in refused("train.py", DEVKIT, run)[-1]
    )
    missing = f"--config.dataset.devkit={tmp_path / 'VOC2012'}"
    assert f"devkit: there is no folder {tmp_path / 'VOC2012'}; set it" in refused("train.py", DEVKIT, run, missing)[-1]


def test_a_missing_split_is_named(refused, tmp_path):
    files = Devkit(tmp_path / "VOC")
    for split in ("train", "val"):
        files.split(split, "photo")
    devkit = f"--config.dataset.devkit={tmp_path / 'VOC'}"
    run = "train.py", DEVKIT, f"--workdir={tmp_path / 'run'}", f"--config.dataset.data_dir={tmp_path / 'data'}", devkit
    (line,) = refused(*run, "--config.splits.train=trian")
    assert f"there is no split file {tmp_path / 'VOC/ImageSets/Main/trian.txt'}; did you mean 'train'?" in line
    assert "(a folder without validation: --config.splits.validation= --config.training.eval_every=0; without" in line
    (line,) = refused(*run, "--config.splits.test=", "--config.splits.train=")
    assert "splits.train is empty; name a split" in line


def test_archives_and_weights_that_cannot_be_obtained_are_named(refused, tmp_path):
    run = "train.py", VOC, f"--workdir={tmp_path / 'run'}", f"--config.dataset.data_dir={tmp_path / 'data'}"
    (line,) = refused(*run, "--config.dataset.mirror=http://127.0.0.1:9/")
    assert "VOC 2007: cannot download VOCtrainval_06-Nov-2007.tar (http://127.0.0.1:9/" in line
    assert "VOCtest_06-Nov-2007.tar (451020800 bytes, sha256 6836888e" in line
    assert f"into {tmp_path / 'data/downloads/manual'}" in line
    (line,) = refused(*run, f"--config.dataset.devkit={tmp_path / 'VOCdevkit'}")
    assert f"devkit: there is no folder {tmp_path / 'VOCdevkit'}; set it" in line
    (line,) = refused(*run, "--config.training.pretrained=cafe")
    assert "one of torchvision, caffe, keras, keras_notop, resnet50, coco, got 'cafe'; did you mean 'caffe'?" in line


def test_folders_that_cannot_be_written_are_named(refused, tmp_path):
    (tmp_path / "file").touch()
    (line,) = refused("train.py", "--config=faster_shapes", f"--workdir={tmp_path / 'file' / 'run'}")
    assert f"workdir {tmp_path / 'file' / 'run'} must be writable, got a file in its place; give another" in line
    data = f"--config.dataset.data_dir={tmp_path / 'file'}"
    line = refused("train.py", f"--workdir={tmp_path / 'run'}", data)[-1]
    assert "data_dir: cannot prepare the data set in" in line
    assert "set data_dir to a folder you can write to" in line


def test_a_workdir_in_use_is_refused(refused, tmp_path):
    with locked(tmp_path):
        (line,) = refused("train.py", "--config=faster_shapes", f"--workdir={tmp_path}")
    assert "must be free, got one in use by host" in line
    assert ", pid " in line


def test_a_mistake_leaves_the_workdir_empty(refused, scripts, tmp_path):
    run = ("train.py", f"--workdir={tmp_path}", f"--config.dataset.data_dir={scripts.folder / 'data'}", *TINY_SHAPES)
    assert "optim.name must be one of sgd, adamw, got 'adm'" in refused(*run, "--config.optim.name=adm")[-1]
    assert "optim.learning_rate must be above 0, got -1.0" in refused(*run, "--config.optim.learning_rate=-1")[-1]
    assert "training.log_every must be at least 1, got 0" in refused(*run, "--config.training.log_every=0")[-1]
    nowhere = refused(*run, "--config.training.init_from=/nowhere")[-1]
    assert "training.init_from must be a workdir or one of its checkpoints, got /nowhere; name one" in nowhere
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["evaluate.py", "predict.py"])
def test_a_folder_that_is_no_workdir_is_refused(refused, tmp_path, script):
    files = [str(ROOT / "docs/shapes.jpg")] if script == "predict.py" else []
    (line,) = refused(script, f"--workdir={tmp_path}", *files)
    assert f"--workdir: {tmp_path} has no experiment.json; give a folder that train.py wrote." in line
    (line,) = refused(script, f"--workdir={tmp_path / 'nowhere'}", *files)
    assert (
        f"--workdir: there is no folder or file {tmp_path / 'nowhere'}; give one that train.py or export wrote." in line
    )


def test_missing_photos_are_named(refused, run_folder):
    predict = "predict.py", f"--workdir={run_folder}"
    assert "photos: none given; name files or folders, as in" in refused(*predict)[-1]
    assert "photos: there is no file or folder nowhere.jpg; name photos" in refused(*predict, "nowhere.jpg")[-1]
    (run_folder / "empty").mkdir()
    assert "photos: no photo in" in refused(*predict, str(run_folder / "empty"))[-1]


def test_a_workdir_without_checkpoints_is_refused(refused, run_folder):
    Image.new("RGB", (8, 8)).save(run_folder / "photo.png")
    lines = refused("predict.py", f"--workdir={run_folder}", str(run_folder / "photo.png"))
    assert f"must hold checkpoints, got none in {run_folder}; train there to the end" in lines[-1]
