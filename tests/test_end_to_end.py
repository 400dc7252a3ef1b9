"""The tiny experiment through the three scripts: trained, killed, restarted, evaluated, used on photos."""

import json
import re
import signal

import numpy as np
import pytest
from PIL import Image

from jaxdet.training.restore import best_step
from tests.scripts import TINY_NET, TINY_SHAPES, assert_same_run, figures, saving


def test_a_run_leaves_figures_checkpoints_and_nothing_but_its_own_lines(trained):
    workdir, out, err = trained
    lines = figures(workdir)
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(3, 25, 3))
    assert [line["step"] for line in lines if line["split"] == "val"] == [10, 20, 24]
    assert {"val_loss", "val_map"} < lines[3].keys()
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    assert {20, 24} <= kept
    assert len(kept) <= 3  # the last two and the best
    assert list((workdir / "tensorboard").iterdir())
    assert all(line.startswith("joint") for line in out.splitlines()), out
    assert re.fullmatch(rf"(preparing .*, once\n)?done; next: python evaluate.py --workdir={workdir}\n", err), err
    assert out.count("compiled") == 1


def test_killed_and_restarted_it_ends_the_same(scripts, trained, tmp_path):
    def stopped(number, moment):
        run = scripts.train(tmp_path)
        run.wait_until(moment)
        run.kill(number)
        return run.end()

    assert stopped(signal.SIGKILL, lambda: len(figures(tmp_path)) >= 2)[0] == -signal.SIGKILL
    assert stopped(signal.SIGKILL, lambda: saving(tmp_path))[0] == -signal.SIGKILL
    seen = len(figures(tmp_path))
    code, printed = stopped(signal.SIGTERM, lambda: len(figures(tmp_path)) > seen)
    assert code == 128 + signal.SIGTERM
    saved = int(re.search(r"stopped by SIGTERM, step (\d+) saved; run the same command again to resume", printed)[1])
    assert (tmp_path / "checkpoints" / str(saved)).exists()
    code, printed = scripts.train(tmp_path).end()
    assert code == 0
    assert f"resuming from the checkpoint of step {saved}" in printed
    assert_same_run(tmp_path, trained[0])


def test_two_runs_of_one_seed_are_the_same_and_of_another_differ(scripts, trained, tmp_path):
    assert scripts.train(tmp_path / "same").end()[0] == 0
    assert_same_run(tmp_path / "same", trained[0])
    other = scripts.train(tmp_path / "other", "--config.seed=1")
    other.wait_until(lambda: figures(tmp_path / "other"))
    other.kill(signal.SIGKILL)
    other.end()
    assert figures(tmp_path / "other")[0]["loss"] != figures(trained[0])[0]["loss"]


def test_evaluation_writes_table_figures_result_files_and_pictures(scripts, trained):
    workdir = trained[0]
    code, printed = scripts.run("evaluate.py", f"--workdir={workdir}")
    assert code == 0
    classes = json.loads((workdir / "experiment.json").read_text())["class_names"]
    folder = workdir / "evaluation" / "test"
    assert printed.startswith(f"checkpoint: {workdir / 'checkpoints'}/")
    assert printed.splitlines()[1].startswith("Average precision")
    assert all(name in printed for name in (*classes, "mean", "voc10@0.5", "COCO", str(folder)))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["classes"]) == set(classes)
    assert (metrics["split"], metrics["checkpoint"]) == ("test", str(best_step(workdir)))
    rows = (folder / f"comp4_det_test_{classes[0]}.txt").read_text().splitlines()
    assert len(rows) == metrics["classes"][classes[0]]["detections"]
    assert {path.name for path in folder.glob("comp4*")} == {f"comp4_det_test_{name}.txt" for name in classes}
    assert len(list((folder / "pictures").iterdir())) == 5  # the four of the split and all on one sheet

    code, printed = scripts.run("evaluate.py", f"--workdir={workdir}", "--split=validation", "--checkpoint=last")
    assert code == 0
    metrics = json.loads((workdir / "evaluation" / "validation" / "metrics.json").read_text())
    assert (metrics["split"], metrics["checkpoint"]) == ("validation", "24")
    assert metrics["mAP"]["voc10@0.5"] == pytest.approx(figures(workdir)[-1]["val_map"], abs=1e-12)


def test_photos_files_and_folders(scripts, trained, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    (tmp_path / "folder").mkdir()
    single, rotated, grey, broken = (
        tmp_path / name for name in ("single.jpg", "folder/rotated.jpg", "folder/grey.png", "folder/broken.jpg")
    )
    Image.fromarray(pixels).save(single)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to be upright
    Image.fromarray(pixels).save(rotated, exif=exif)
    Image.fromarray(pixels[..., 0]).save(grey)
    broken.write_bytes(single.read_bytes()[:500])
    output = tmp_path / "detections"
    photos = str(single), str(tmp_path / "folder")
    code, printed = scripts.run(
        "predict.py", f"--workdir={trained[0]}", *photos, f"--output={output}", "--threshold=0.05"
    )
    assert code == 0
    assert f"skipped: image {broken}: cannot be read" in printed
    listed = json.loads((output / "detections.json").read_text())
    assert set(listed) == {str(single), str(rotated), str(grey)}
    found = [thing for things in listed.values() for thing in things]
    assert found
    assert all(thing.keys() == {"class", "score", "box"} and thing["score"] >= 0.05 for thing in found)
    boxes = np.array([thing["box"] for thing in listed[str(rotated)]]).reshape(-1, 4)
    assert (boxes <= [60, 90, 60, 90]).all()
    for name, (width, height) in {"single": (3, 2), "rotated": (2, 3), "grey": (3, 2)}.items():
        with Image.open(output / f"{name}.png") as picture:
            assert picture.width * height == picture.height * width


def test_own_photos_from_another_run_with_each_bucket_compiled_once(scripts, trained, tmp_path):
    devkit = tmp_path / "VOC"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (devkit / folder).mkdir(parents=True)
    names = [f"photo{i}" for i in range(6)]
    for split in ("train", "val", "test"):
        (devkit / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(names))
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        width, height = (96, 64) if i % 2 else (64, 96)
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(devkit / "JPEGImages" / f"{name}.jpg")
        (devkit / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size><object><name>cell</name>"
            "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>48</xmax><ymax>40</ymax></bndbox></object></annotation>"
        )
    code, printed = scripts.run(
        "train.py",
        "--config=configs/faster_devkit.py",
        f"--workdir={tmp_path / 'run'}",
        f"--config.dataset.devkit={devkit}",
        f"--config.dataset.data_dir={tmp_path / 'data'}",
        *TINY_NET,
        "--config.input.short_side=64",
        "--config.anchors.scales=(1,2,4)",
        "--config.training.steps=16",
        "--config.training.log_every=16",
        "--config.training.eval_every=0",
        f"--config.training.init_from={trained[0]}",
    )
    assert code == 0, printed
    left_out = re.search(r"the weights to start from: left out (.*)", printed)[1]
    assert re.findall(r"(\w+)/(?:kernel|bias) \(", left_out) == ["bbox_pred", "bbox_pred", "cls_score", "cls_score"]
    assert sorted(re.findall(r"compiled for images of (\d+x\d+)", printed)) == ["64x96", "96x64"]
    assert f"{devkit}, train: 6 images used, 0 skipped" in printed


def test_a_workdir_of_another_config_is_refused(scripts, trained):
    data = f"--config.dataset.data_dir={scripts.folder / 'data'}"
    code, printed = scripts.run("train.py", f"--workdir={trained[0]}", data, *TINY_SHAPES, "--config.seed=5")
    assert code == 2, printed
    assert f"{trained[0]} holds another experiment: config.seed is 0 there and 5 here; give another --w" in printed
