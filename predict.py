"""Draws detections on photos: python predict.py --workdir=runs/faster_shapes photo.jpg folder/ --output=detections"""

from absl import flags

from jaxdet import commands, experiment

_WORKDIR = flags.DEFINE_string("workdir", None, "A workdir of train.py.")
_OUTPUT = flags.DEFINE_string("output", "detections", "Folder for the pictures and detections.json.")
_THRESHOLD = flags.DEFINE_float("threshold", None, "Least score of a detection; if not given 0.5, for SVMs 0.")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Best by validation mAP, or the last one.")


def main(files: list[str]) -> None:
    experiment.predict(
        _WORKDIR.value, files, output=_OUTPUT.value, threshold=_THRESHOLD.value, checkpoint=_CHECKPOINT.value
    )


if __name__ == "__main__":
    commands.run(main, takes_files=True)
