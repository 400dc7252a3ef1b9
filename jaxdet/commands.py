"""What the three scripts share: parsing flags, and printing a user's mistake as one line instead of a traceback."""

import sys
from collections.abc import Callable

from absl import app, flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from jaxdet.checks import InputError


def run(main: Callable[[list[str]], None], *, takes_files: bool = False) -> None:
    """Parses the flags and calls main(files). A mistake in the flags, the config or the data exits with code 2."""

    def parse(arguments: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(arguments)
        except (KeyError, AttributeError) as error:  # a field that the config does not have
            raise InputError("config: no field " + " ".join(str(error.args[0]).replace("\\n", " ").split())) from None
        except (flags.Error, config_flags.UnsupportedOperationError) as error:
            raise InputError(str(error)) from None
        if len(rest) > 1 and not takes_files:
            raise InputError(f"{rest[1]!r} is not a flag; flags are written --name=value.")
        return rest

    try:
        app.run(lambda arguments: main(arguments[1:]), flags_parser=parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def config_of(flag: flags.FlagHolder) -> ConfigDict | None:
    """The value of a config flag, None where it was not given.

    Raises:
      InputError: where the file does not exist or does not run.
    """
    config = flag.value
    if config is not None and not isinstance(config, ConfigDict):
        raise InputError(f"--{flag.name}: {config._error}; name a file such as those in configs/.")
    return config
