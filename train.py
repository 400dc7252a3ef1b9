"""Trains a detector: python train.py --config=configs/faster_shapes.py [--workdir=...] [--config.any.field=value]"""

from absl import flags
from ml_collections import config_flags

from jaxdet import commands, experiment

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment; configs/faster_shapes.py if not given.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything goes; runs/<name of the config> if not given.")
_DISTRIBUTED = flags.DEFINE_string(
    "distributed", "", "One process of several hosts': auto, or HOST:PORT,COUNT,NUMBER; see README."
)


def main(_) -> None:
    commands.join(_DISTRIBUTED.value)
    experiment.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
    commands.run(main, default_config="configs/faster_shapes.py")
