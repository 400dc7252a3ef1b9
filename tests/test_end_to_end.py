"""The tiny experiment through the scripts: trained, killed, resumed, evaluated, and used on photos."""

import json
import re
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from jaxdet.training.restore import best_step
from tests.devkit import Devkit
from tests.scripts import TINY_NET, TINY_SHAPES, assert_same_run, is_saving, read_metrics


def test_a_run_writes_metrics_and_checkpoints_and_prints_only_its_own_lines(trained):
    workdir, out, err = trained
    lines = read_metrics(workdir)
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(3, 25, 3))
    assert [line["step"] for line in lines if line["split"] == "val"] == [10, 20, 24]
    assert {"val_loss", "val_map"} < lines[3].keys()
    saved_steps = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    assert {20, 24} <= saved_steps
    assert len(saved_steps) <= 3  # the last two and the best
    assert list((workdir / "tensorboard").iterdir())
    assert all(line.startswith("joint") for line in out.splitlines()), out
    err = re.sub(r".* \(\d+ s\)\n|.* \d+/\d+\n", "", err)  # of what takes more than five seconds
    assert re.fullmatch(
        r"(preparing .*, once\n)?joint: the learning rate rises for 100 steps .*\njoint: initialising\n"
        r"pictures of the first 2 batches: .*\n(curves.png .*\n)?"
        rf"done; next: python -m jaxdet evaluate --workdir={workdir}; python -m jaxdet p.*\n",
        err,
    ), err
    assert len(re.findall(r"^joint: (?:compiled|read from the cache) for images of 96x96 in ", out, re.MULTILINE)) == 1


def test_ctrl_c_while_compiling_ends_training_without_waiting(scripts, tmp_path):
    side = "--config.dataset.image_size=128", "--config.input.short_side=128", "--config.input.long_side=128"
    run = scripts.train(tmp_path, *side)  # a size that no other test has cached
    run.wait_until(lambda: "joint: compiling for images of 128x128" in run.printed.read_text())
    run.kill(signal.SIGINT)
    printed = run.end(code=128 + signal.SIGINT)
    assert "joint: stopped by SIGINT, before step 1; run the same command again to resume" in printed
    assert "Traceback" not in printed


def test_a_run_that_was_killed_ends_as_one_that_was_not(scripts, trained, tmp_path):
    """Killed while it saves, with metrics of later steps than the last whole checkpoint."""
    run = scripts.train(tmp_path)
    run.wait_until(lambda: len(read_metrics(tmp_path)) >= 2 and is_saving(tmp_path))
    run.kill(signal.SIGKILL)
    run.end(code=-signal.SIGKILL)
    saved = max(int(path.parent.name) for path in tmp_path.glob("checkpoints/*/manifest.json"))
    printed = scripts.train(tmp_path).end()
    assert f"resuming from the checkpoint of step {saved}" in printed
    assert_same_run(tmp_path, trained[0])


def test_another_seed_gives_another_run(scripts, trained, tmp_path):
    """The test above shows that the same seed gives the same run."""
    other = scripts.train(tmp_path, "--config.seed=1")
    other.wait_until(lambda: read_metrics(tmp_path))
    other.kill(signal.SIGKILL)
    other.wait()
    assert read_metrics(tmp_path)[0]["loss"] != read_metrics(trained[0])[0]["loss"]


def test_evaluation_prints_a_table_and_writes_metrics_result_files_and_pictures(scripts, trained, tmp_path):
    workdir = shutil.copytree(trained[0], tmp_path / "run")
    printed = scripts.run("evaluate.py", f"--workdir={workdir}")
    classes = json.loads((workdir / "experiment.json").read_text())["class_names"]
    folder = workdir / "evaluation" / "test"
    assert printed.startswith(f"checkpoint: {workdir / 'checkpoints'}/")
    assert "\nAverage precision" in printed  # after lines of progress on a slow machine
    assert all(name in printed for name in (*classes, "mean", "voc10@0.5", "COCO", str(folder)))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["classes"]) == set(classes)
    assert (metrics["split"], metrics["checkpoint"]) == ("test", str(best_step(workdir)))
    rows = (folder / f"comp4_det_test_{classes[0]}.txt").read_text().splitlines()
    assert len(rows) == metrics["classes"][classes[0]]["detections"]
    assert {path.name for path in folder.glob("comp4*")} == {f"comp4_det_test_{name}.txt" for name in classes}
    assert len(list((folder / "pictures").iterdir())) == 5  # the four of the split, and all four on one sheet
    assert f"report: {folder / 'report.html'}" in printed
    assert all(name in (folder / "report.html").read_text() for name in classes)
    numbers = json.loads((folder / "report.json").read_text())
    assert tuple(numbers["best_f1"]["classes"]) == tuple(classes)
    assert {"waiting for images", "detection", "pictures"} < numbers["seconds"].keys()

    for name in (".jaxdet-files", "report.html", "report.json"):  # as an earlier version left the folder
        (folder / name).unlink()
    scripts.run("evaluate.py", f"--workdir={workdir}")

    scripts.run("evaluate.py", f"--workdir={workdir}", "--split=validation", "--checkpoint=last")
    metrics = json.loads((workdir / "evaluation" / "validation" / "metrics.json").read_text())
    assert (metrics["split"], metrics["checkpoint"]) == ("validation", "24")
    assert metrics["mAP"]["voc10@0.5"] == pytest.approx(read_metrics(workdir)[-1]["val_map"], abs=1e-12)


def test_a_split_without_annotations_gets_result_files_for_the_server_and_no_map(scripts, trained, tmp_path):
    devkit, workdir = Devkit(tmp_path / "VOC2012"), tmp_path / "run"
    (devkit.folder / "Annotations").rmdir()
    devkit.split("test", "a", "b")
    for name in ("a", "b"):
        devkit.image(name)
    shutil.copytree(trained[0], workdir, ignore=shutil.ignore_patterns("tensorboard", "evaluation"))
    flags = (f"--workdir={workdir}", *TINY_NET, "--config.anchors.scales=(1.5,3,6)")
    data = (f"--config.dataset.devkit={devkit.folder}", f"--config.dataset.data_dir={tmp_path / 'data'}")
    printed = scripts.run("evaluate.py", "--config=configs/faster_devkit.py", *flags, *data)
    folder = workdir / "evaluation/test"
    assert f"no mAP: test has no annotations; archive for PASCAL's server: cd {folder} && tar -czf" in printed
    classes = json.loads((workdir / "experiment.json").read_text())["class_names"]
    files = [folder / f"results/VOC2012/Main/comp4_det_test_{name}.txt" for name in classes]
    assert set(folder.rglob("comp4*")) == set(files)
    rows = [line.split() for file in files for line in file.read_text().splitlines()]
    assert {row[0] for row in rows} == {"a", "b"} and {len(row) for row in rows} == {6}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() == {"images", "detections", "not_as_trained", "split", "checkpoint"}
    assert (metrics["images"], metrics["detections"], metrics["split"]) == (2, len(rows), "test")
    assert len(json.loads((folder / "coco_detections.json").read_text())) == len(rows)
    assert not (folder / "coco_ground_truth.json").exists() and not (folder / "report.html").exists()
    assert len(list((folder / "pictures").iterdir())) == 3


def test_prediction_takes_files_and_folders_of_photos(scripts, trained, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    (tmp_path / "folder").mkdir()
    single, rotated, grey, broken = (
        tmp_path / name for name in ("single.jpg", "folder/rotated.jpg", "folder/grey.png", "folder/broken.jpg")
    )
    Image.fromarray(pixels).save(single)
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn
    Image.fromarray(pixels).save(rotated, exif=exif)
    Image.fromarray(pixels[..., 0]).save(grey)
    broken.write_bytes(single.read_bytes()[:500])
    output = tmp_path / "detections"
    photos = str(single), str(tmp_path / "folder")
    flags = f"--workdir={trained[0]}", f"--output={output}", "--threshold=0.05"
    printed = scripts.run("predict.py", *flags, *photos, code=1)  # some were skipped
    assert f"skipped: image {broken}: cannot be read" in printed
    listed = json.loads((output / "detections.json").read_text())
    assert set(listed) == {str(single), str(rotated), str(grey)}
    detections = [detection for detections in listed.values() for detection in detections]
    assert detections
    assert all(d.keys() == {"class", "score", "box"} and d["score"] >= 0.05 for d in detections)
    boxes = np.array([detection["box"] for detection in listed[str(rotated)]]).reshape(-1, 4)
    assert (boxes <= [60, 90, 60, 90]).all()
    for name, (width, height) in {"single": (3, 2), "rotated": (2, 3), "grey": (3, 2)}.items():
        with Image.open(output / f"{name}.png") as picture:
            assert picture.width * height == picture.height * width


def test_training_on_own_photos_starts_from_another_run_and_compiles_each_bucket_once(scripts, trained, tmp_path):
    devkit, names = Devkit(tmp_path / "VOC"), [f"photo{i}" for i in range(6)]
    for split in ("train", "val", "test"):
        devkit.split(split, *names)
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        size = (64, 96) if i % 2 else (96, 64)
        devkit.image(name, Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)))
        devkit.annotation(name, ("cell", 9, 9, 48, 40), size=size)
    printed = scripts.run(
        "train.py",
        "--config=configs/faster_devkit.py",
        f"--workdir={tmp_path / 'run'}",
        f"--config.dataset.devkit={devkit.folder}",
        f"--config.dataset.data_dir={tmp_path / 'data'}",
        *TINY_NET,
        "--config.input.short_side=64",
        "--config.anchors.scales=(1,2,4)",
        "--config.training.steps=16",
        "--config.training.log_every=16",
        "--config.training.eval_every=0",
        f"--config.training.init_from={trained[0]}",
    )
    left_out = re.search(r"the weights to start from: left out (.*)", printed)[1]
    assert re.findall(r"(\w+)/(?:kernel|bias) \(", left_out) == ["bbox_pred", "bbox_pred", "cls_score", "cls_score"]
    assert sorted(re.findall(r"compiled for images of (\d+x\d+)", printed)) == ["64x96", "96x64"]
    assert f"{devkit.folder}, train: 6 images used, 0 skipped" in printed


def test_a_workdir_of_another_config_is_refused(scripts, trained):
    data = f"--config.dataset.data_dir={scripts.folder / 'data'}"
    printed = scripts.run("train.py", f"--workdir={trained[0]}", data, *TINY_SHAPES, "--config.seed=5", code=2)
    assert f"{trained[0]} holds another experiment: config.seed is 0 there and 5 here; give another --w" in printed
