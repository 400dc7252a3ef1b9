"""The config of a workdir as a config file, `--config=jaxdet/stored_config.py:WORKDIR`, so that flags can change it."""

from pathlib import Path

from ml_collections import ConfigDict

from jaxdet import workdir as workdirs


def get_config(workdir: str) -> ConfigDict:
    """What train.py was given for this workdir; InputError where it is none."""
    return workdirs.read(Path(workdir).expanduser())[0]
