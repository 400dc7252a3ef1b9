"""R-CNN, Fast R-CNN and Faster R-CNN in JAX.

    jaxdet train     train a detector
    jaxdet evaluate  score a trained detector on a split
    jaxdet predict   draw detections on images and videos
    jaxdet serve     show detections on a web page
    jaxdet convert   make a workdir of another project's detector
    jaxdet export    write a trained detector to one file
    jaxdet doctor    examine your photos and this machine before training

`jaxdet COMMAND --help` lists the flags of a command, `jaxdet --version` prints the version.
"""

import os
import sys

from absl import flags
from ml_collections import ConfigDict

import jaxdet
from jaxdet.checks import InputError, nearest
from jaxdet.cli.app import run
from jaxdet.cli.config_file import SHIPPED
from jaxdet.cli.distributed import init_distributed
from jaxdet.cli.overrides import overridden_fields
from jaxdet.cli.overview import overview
from jaxdet.cli.shared_flags import (
    define_checkpoint,
    define_distributed,
    define_path,
    define_pretrained,
    define_pretrained_file,
    one_workdir,
    published,
)
from jaxdet.io.progress import waiting

flags.disclaim_key_flags()  # --help lists the flags below under the running script

# Commands import their work when they start it: that takes seconds, and mistakes in flags are reported before.


def train() -> None:
    """Trains a detector: jaxdet train --config=faster_shapes [--workdir=...] [--config.any.field=value]

    --config is a file or the name of a shipped config. The same command resumes a run that was stopped, and so does
    --workdir alone.
    """
    if len(sys.argv) == 1:
        program = sys.argv[0] if sys.argv[0].startswith("jaxdet ") else f"python {sys.argv[0]}"
        print(overview(program, SHIPPED))
        return
    define_path(
        "config",
        None,
        "The experiment: a Python file, which is run, or a shipped config; that of --workdir.",
    )
    workdir = define_path("workdir", None, "Folder of the run; runs/<name of the config> if not given.")
    distributed = define_distributed()
    dry = flags.DEFINE_bool("dry_run", False, "Try two steps, validation and evaluation on a few images, and end.")

    def main(config: ConfigDict, _: list[str]) -> None:
        if dry.value and distributed.value:
            raise InputError("--dry_run is for one process, got --distributed; try it without.")
        with waiting("starting"):
            from jaxdet.cli.dry_run import dry_run
            from jaxdet.train import train

            init_distributed(distributed.value)
        if dry.value:
            dry_run(config, overridden=overridden_fields(sys.argv))
            return
        train(config, workdir.value, overridden=overridden_fields(sys.argv))

    run(main, default_config="faster_shapes", changes_stored=True)


def evaluate() -> None:
    """Scores a trained detector on the test split: jaxdet evaluate --workdir=runs/faster_shapes [--split=...]

    --config.field=value changes the config that the workdir was trained with.
    """
    define_path("config", None, "Overrides the config that the workdir was trained with: a file or a name.")
    workdir = define_path("workdir", None, "Workdir of a training; runs/<name of the config> if not given.")
    split = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Split of the config's data set.")
    checkpoint = define_checkpoint()
    distributed = define_distributed()

    def main(config: ConfigDict | None, _: list[str]) -> None:
        with waiting("starting"):
            from jaxdet.evaluate import evaluate

            init_distributed(distributed.value)
        evaluate(config, workdir.value, split=split.value, checkpoint=checkpoint.value)

    run(main, changes_stored=True)


def predict() -> None:
    """Draws detections on images and videos: jaxdet predict --workdir=runs/x photo.jpg folder/ --output=detections

    Arguments are images, videos, folders, globs such as '**/*.jpg', and addresses of images (https://...).
    --config.field=value changes the config that the workdir was trained with. Exits with code 1 after skipping some.
    """
    workdir = define_path("workdir", None, "Workdir of a training.")
    output = define_path("output", "detections", "Folder for the drawn images and detections.json.")
    threshold = flags.DEFINE_float("threshold", None, "Minimum score of a detection; if not given 0.5, for SVMs 0.")
    max_pixels = flags.DEFINE_integer(
        "max_pixels", None, "Larger images are skipped; the run's dataset.max_pixels if not given.", lower_bound=1
    )
    checkpoint = define_checkpoint()
    pretrained = define_pretrained()
    pretrained_file = define_pretrained_file()
    formats = flags.DEFINE_list("format", ["json"], "Lists to write: some of json, coco, voc and yolo.")
    crops = flags.DEFINE_boolean("crops", False, "Also write each detection as an image, in a folder per class.")
    batch_size = flags.DEFINE_integer("batch_size", 1, "Images per call of the device.", lower_bound=1)
    camera = flags.DEFINE_integer("camera", None, "Number of a camera to record, from 0, until Ctrl-C.", lower_bound=0)

    def main(config: ConfigDict | None, files: list[str]) -> None:
        with waiting("starting"):
            source = published(pretrained.value, pretrained_file.value, config)
            from jaxdet.predict import predict

        skipped = predict(
            workdir.value,
            [os.path.expanduser(file) for file in files],
            output=output.value,
            threshold=threshold.value,
            checkpoint=checkpoint.value,
            max_pixels=max_pixels.value,
            pretrained=source,
            config=config and config.to_dict(),
            formats=formats.value,
            crops=crops.value,
            batch_size=batch_size.value,
            camera=camera.value,
        )
        if skipped:
            sys.exit(1)

    run(main, takes_files=True, changes_stored=True)


def convert() -> None:
    """Makes a workdir of another project's detector: jaxdet convert --file=model.pth --workdir=... [--config=...]"""
    define_path("config", None, "How it was trained: a file or a name; simple_faster_rcnn if not given.")
    file = define_path(
        "file",
        None,
        "The .pth file of simple-faster-rcnn-pytorch or torchvision's FasterRCNN with VGG16, or the .caffemodel of "
        "py-faster-rcnn, fast-rcnn or rcnn.",
    )
    svms = define_path("svms", None, "For rcnn's .caffemodel: its SVMs, rcnn_model.mat.")
    box_regressors = define_path("box_regressors", None, "And its box regressors, bbox_regressor_final.mat.")
    workdir = define_path("workdir", None, "Folder to write; evaluate and predict take it.")
    classes = flags.DEFINE_list(
        "classes", None, "Names of the head's classes in its order, without background; VOC's if not given."
    )

    def main(config: ConfigDict, _: list[str]) -> None:
        with waiting("starting"):
            from jaxdet.convert import convert

        sources = {"svms": svms.value, "box_regressors": box_regressors.value}
        convert(config, file.value, workdir.value, classes.value, **sources)

    run(main, default_config="simple_faster_rcnn")


def export() -> None:
    """Writes a trained detector to one file and a model card: jaxdet export runs/x --to=detector.safetensors"""
    workdir = define_path("workdir", None, "Workdir of a training; may be given without the name of the flag.")
    to = define_path("to", None, "New file, .safetensors or .stablehlo; the model card has its name and .md.")
    checkpoint = define_checkpoint()
    batch_size = flags.DEFINE_integer("batch_size", 1, "Images per call of a .stablehlo file.", lower_bound=1)

    def main(_: None, files: list[str]) -> None:
        with waiting("starting"):
            from jaxdet.export import export

        run_folder = one_workdir(files, workdir.value, "export")
        export(run_folder, to.value, checkpoint=checkpoint.value, batch_size=batch_size.value)

    run(main, takes_files=True)


def serve() -> None:
    """Shows detections on a web page of this machine: jaxdet serve runs/x, or jaxdet serve --pretrained=coco"""
    workdir = define_path("workdir", None, "Workdir of a training; may be given without the name of the flag.")
    checkpoint = define_checkpoint()
    pretrained = define_pretrained()
    pretrained_file = define_pretrained_file()
    host = flags.DEFINE_string("host", "127.0.0.1", "Where to listen: 0.0.0.0 lets other machines in.")
    port = flags.DEFINE_integer("port", 8000, "Port of the page; 0 takes a free one.", lower_bound=0, upper_bound=65535)
    max_pixels = flags.DEFINE_integer(
        "max_pixels", None, "Larger photos are refused; the run's dataset.max_pixels if not given.", lower_bound=1
    )

    def main(_: None, files: list[str]) -> None:
        source = published(pretrained.value, pretrained_file.value, None)
        from jaxdet.serving.serve import serve

        serve(
            one_workdir(files, workdir.value, "serve"),
            source,
            checkpoint=checkpoint.value,
            host=host.value,
            port=port.value,
            max_pixels=max_pixels.value,
        )

    run(main, takes_files=True)


def doctor() -> None:
    """Examines photos and this machine before training: jaxdet doctor path/to/photos [--config=NAME]

    A config with its dataset.devkit may be named in place of the folder.
    """
    config_name = define_path("config", None, "The training: a file or a shipped config; faster_devkit if not given.")
    workdir = define_path("workdir", None, "Folder of the run, for its disk; runs/<name of the config> if not given.")
    output = define_path("output", None, "The .json file of the report; doctor.json if not given.")
    no_timing = flags.DEFINE_boolean("no_timing", False, "Do not compile and time a training step.")

    def main(config: ConfigDict, folders: list[str]) -> None:
        from jaxdet.cli.examine import examine

        words = [f"--config={config_name.value or 'faster_devkit'}"]
        words += [f"--workdir={workdir.value}"] if workdir.value else []
        target = output.value
        examine(config, folders, words, workdir=workdir.value, output=target, timing=not no_timing.value)

    run(main, default_config="faster_devkit", names_data=True)


COMMANDS = {command.__name__: command for command in (train, evaluate, predict, serve, convert, export, doctor)}


def main() -> None:
    """Run the command that is the first argument."""
    command, *arguments = sys.argv[1:] or [""]
    if command in ("-h", "--help", "--helpfull", "--helpshort"):
        print((__doc__ or "").strip())
    elif command == "--version":
        print(f"jaxdet {jaxdet.__version__}")
    elif command in COMMANDS:
        sys.argv = [f"jaxdet {command}", *arguments]
        sys.modules["__main__"].__doc__ = COMMANDS[command].__doc__  # what --help prints over the flags
        COMMANDS[command]()
    else:
        *names, last = COMMANDS
        close = f"; {nearest(command, COMMANDS)}" if command else ""
        print(
            f"error: jaxdet: the command must be {', '.join(names)} or {last}, got {command!r}{close}", file=sys.stderr
        )
        sys.exit(2)
