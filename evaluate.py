"""Evaluates a trained detector on the test split: python evaluate.py --workdir=runs/faster_shapes [--split=...]

--config.field=value changes the config that the workdir was trained with.
"""

from absl import flags
from ml_collections import config_flags

from jaxdet import commands, experiment

_CONFIG = config_flags.DEFINE_config_file("config", None, "Stands in for the config that the workdir was trained with.")
_WORKDIR = flags.DEFINE_string("workdir", None, "A workdir of train.py; runs/<name of the config> if not given.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Which split of the config's data set.")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Best by validation mAP, or the last one.")
_DISTRIBUTED = flags.DEFINE_string(
    "distributed", "", "One process of several hosts': auto, or HOST:PORT,COUNT,NUMBER; see README."
)


def main(_) -> None:
    commands.join(_DISTRIBUTED.value)
    experiment.evaluate(_CONFIG.value, _WORKDIR.value, part=_SPLIT.value, checkpoint=_CHECKPOINT.value)


if __name__ == "__main__":
    commands.run(main, changes_stored=True)
