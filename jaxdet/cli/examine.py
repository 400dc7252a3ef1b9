"""The command doctor: its folder put into the config, and the training command that its report completes."""

import sys

from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.cli.overrides import overridden_fields, split_overrides
from jaxdet.doctor.environment import check_imports


def examine(config: ConfigDict, folders: list[str], *, name: str, output: str | None, timing: bool) -> None:
    """Run the doctor on a config; see jaxdet.doctor.examine.

    Args:
      folders: none, or the folder of the data, which replaces that of the config.
      name: of the config.

    Raises:
      InputError: the config is not for a folder; see doctor.
    """
    check_imports()
    from jaxdet.doctor.examine import doctor  # after the check: it imports the packages

    _, overrides = split_overrides(sys.argv[1:])
    for folder in folders:
        if config.dataset.kind != "devkit":
            raise InputError(
                f"{folder} is a folder of photos, but dataset.kind of the config is {config.dataset.kind!r}; "
                "name a config for a folder, such as --config=faster_devkit."
            )
        config.dataset.devkit = folder
        overrides.append(f"--config.dataset.devkit={folder}")
    train = ["python", "-m", "jaxdet", "train", f"--config={name}", *overrides]
    doctor(config, command=train, overridden=overridden_fields(sys.argv), output=output, timing=timing)
