"""Training and conversion refuse a folder with the user's files of their names, before anything is written."""

import json
import os

import pytest

from configs import faster_shapes, simple_faster_rcnn
from jaxdet import convert, train
from jaxdet.checks import InputError
from jaxdet.config import experiment_json
from jaxdet.config.workdir import WRITTEN, check_workdir
from tests.golden.files import GOLDEN


def put_file(path):
    path.write_text("the user's")


def put_folder(path):
    path.mkdir()
    (path / "notes.txt").write_text("the user's")


def put_dangling_link(path):
    path.symlink_to("nowhere")


def content(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("put", [put_file, put_folder, put_dangling_link])
@pytest.mark.parametrize("name", [*WRITTEN, experiment_json.NAME])
def test_a_file_of_the_users_is_refused_by_name_and_stays(tmp_path, name, put):
    put(tmp_path / name)
    before = content(tmp_path)
    with pytest.raises(InputError, match=rf"{tmp_path / name} .*; .* give another --workdir\."):
        check_workdir(str(tmp_path))
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["lock", "metrics.jsonl", experiment_json.NAME])
def test_train_and_convert_refuse_it_before_they_write(tmp_path, name):
    put_file(tmp_path / name)
    before = content(tmp_path)
    with pytest.raises(InputError, match=f"{name} "):
        train.train(faster_shapes.get_config(), str(tmp_path))
    with pytest.raises(InputError, match=f"{name} "):
        convert.convert(simple_faster_rcnn.get_config(), "voc.pth", str(tmp_path), None)
    assert content(tmp_path) == before


@pytest.mark.parametrize("text", ["[]", "{}", '{"config": {}}', '{"config": {}, "class_names": [], "my notes": 1}'])
def test_an_experiment_json_with_other_entries_is_the_users(tmp_path, text):
    (tmp_path / experiment_json.NAME).write_text(text)
    with pytest.raises(InputError, match="experiment.json is not what train.py wrote"):
        check_workdir(str(tmp_path))


def test_a_workdir_of_this_or_an_earlier_version_is_ours(tmp_path):
    experiment_json.claim(tmp_path, {"seed": 0}, ("a",), "images")
    put_file(tmp_path / "metrics.jsonl")
    put_folder(tmp_path / "checkpoints")
    check_workdir(str(tmp_path))
    for earlier in GOLDEN.glob("experiment_1_*.json"):
        (tmp_path / experiment_json.NAME).write_bytes(earlier.read_bytes())
        check_workdir(str(tmp_path))
        assert "checksum" not in json.loads(earlier.read_text())


def test_other_files_and_what_a_killed_run_leaves_are_no_obstacle(tmp_path):
    check_workdir(str(tmp_path / "new"))
    put_file(tmp_path / "notes.txt")
    (tmp_path / "checkpoints").mkdir()
    for lock in ("", f"host a-b.c, pid {os.getpid()}\n"):
        (tmp_path / "lock").write_text(lock)
        check_workdir(str(tmp_path))
