"""The command doctor: its folder put into the config, and the training command that its report completes."""

import sys

from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.cli.overrides import overridden_fields, split_overrides
from jaxdet.doctor.environment import check_imports


def examine(
    config: ConfigDict,
    folders: list[str],
    words: list[str],
    *,
    workdir: str | None,
    output: str | None,
    timing: bool,
) -> None:
    """Run the doctor on a config; see jaxdet.doctor.examine.

    Args:
      folders: none, or the folder of the data, which replaces that of the config.
      words: flags of the training command that name the config and the workdir.
      workdir, output, timing: see doctor.

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
    train = ["python", "-m", "jaxdet", "train", *words, *overrides]
    overridden = overridden_fields(sys.argv)
    doctor(config, workdir, command=train, overridden=overridden, output=output, timing=timing)
