"""The frame of every command: flags, logging, and errors as one line instead of a traceback."""

import errno
import io
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.cli.config_file import load_config, stored_config
from jaxdet.cli.distributed import end_process, exit_at_once, lost_process
from jaxdet.cli.interrupts import answered_at_once
from jaxdet.cli.memory import out_of_memory
from jaxdet.cli.overrides import override, split_overrides
from jaxdet.config import experiment_json
from jaxdet.config.describe import fields_text
from jaxdet.config.parse import fields_of
from jaxdet.config.suggest import THRESHOLDS, suggest
from jaxdet.io.folder import CANNOT_WRITE, FULL_OR_READ_ONLY, unwritable

HELP = frozenset(("-h", "--h", "-help", "--help", "-helpshort", "--helpshort"))
PUBLISHED = {"coco": "coco_resnet50_fpn"}  # published detectors by their name for --pretrained, with their config
# Names in other projects -> the flag here.
OTHER_FLAGS = {
    **dict.fromkeys((*THRESHOLDS, "score_threshold"), "threshold"),
    **dict.fromkeys(("out", "project", "save_dir"), "output"),
}


def run(
    main: Callable[[Any, list[str]], None],
    *,
    takes_files: bool = False,
    default_config: str | None = None,
    changes_stored: bool = False,
    names_data: bool = False,
) -> None:
    """Parse the flags and call `main(config, files)`.

    Exits with code 2 after a mistake in the flags, the config or the data, and when memory runs out; with 130 after
    Ctrl-C.

    Args:
      main: takes the ConfigDict (None without --config and a default) and the files.
      takes_files: arguments that are not flags are files; otherwise they are mistakes.
      default_config: the config if --config is missing, unless --workdir holds a run and changes_stored.
      changes_stored: without --config, --config.field=value changes the config stored in --workdir, or that of the
        detector that --pretrained names.
      names_data: the one file is the folder of the data or, in place of --config, a config; `main` gets the folder.
    """

    def parse(arguments: list[str]) -> tuple[ConfigDict | None, list[str]]:
        arguments, overrides = split_overrides(arguments)
        try:
            files = _parse_flags(arguments, default_config)
        except SystemExit:  # --help has listed the flags
            if default_config and HELP & set(arguments):
                _print_fields(_config(overrides, default_config, changes_stored))
            raise
        if files and not (takes_files or names_data):
            raise InputError(f"{files[0]!r} is not a flag; flags are written --name=value.")
        if names_data:
            files = take_config(files)
        return _config(overrides, default_config, changes_stored), files

    def call(parsed: tuple[ConfigDict | None, list[str]]) -> None:
        if sys.platform == "win32":
            raise InputError(
                "jaxdet must run on Linux or macOS, got Windows, for which there is no array_record; run it in WSL2, "
                "or run an exported .stablehlo file with jax alone."
            )
        setup_logging()
        main(*parsed)

    try:
        with answered_at_once():
            app.run(call, flags_parser=parse)
    except Exception as error:
        mistake = _mistake(error)
        if mistake is None:
            raise
        print(f"error: {mistake}", file=sys.stderr)
        exit_at_once(2)
    except KeyboardInterrupt as interrupt:
        print(" ".join(["stopped by SIGINT", *map(str, interrupt.args)]), file=sys.stderr, flush=True)
        end_process(130)
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:  # a signal
            end_process(end.code)
        raise


def _parse_flags(arguments: list[str], default_config: str | None) -> list[str]:
    """Set the flags and return the other arguments; SystemExit after --help."""
    arguments.sort(key=HELP.__contains__)  # the last: by then --config is known
    try:
        _, *files = flags.FLAGS(arguments)
    except flags.UnrecognizedFlagError as error:
        raise InputError(_unknown_flag(error, default_config)) from error
    except flags.Error as error:
        raise InputError(str(error)) from error
    return files


def _mistake(error: Exception) -> Exception | None:
    """Return the error that one line says, None where a traceback is needed."""
    own = error if isinstance(error, InputError) else None
    return lost_process(error) or own or out_of_memory(error) or _unusable_file(error)


def _print_fields(config: ConfigDict | None) -> None:
    """Print the fields of a config, for --help."""
    if config is not None:
        print(f"\nfields of the config {config.name!r} with its values; any can be set on the command line:\n")
        print(fields_text(config.to_dict()))


def _unknown_flag(error: flags.UnrecognizedFlagError, default_config: str | None) -> str:
    """Return the error for an unknown flag; where the command has a config, it may be one of its fields."""
    flag, other = f"--{error.flagname}", OTHER_FLAGS.get(error.flagname.lower().replace("-", "_"), "")
    if other in flags.FLAGS:
        return f"{flag} is not a flag; did you mean --{other}?"
    meant = suggest(error.flagname, fields_of(load_config(default_config))) if default_config else ""
    field = re.match(r"did you mean '([^']+)'\?$", meant)
    if "Did you mean" in str(error) or field is None:
        return str(error)
    return f"{flag} is not a flag but may be meant as a field of the config: --config.{field[1]}=..."


def _unusable_file(error: Exception) -> InputError | None:
    """Return the error in one line where a file cannot be used as its disk or folder is now, None for any other error.

    A missing file, whose folder exists, may be a mistake of ours and keeps its traceback.
    """
    if not isinstance(error, OSError):
        return None
    if error.errno in FULL_OR_READ_ONLY:
        file = error.filename or "the folder of the results"
        return unwritable(file, error, cure="make room, or name another folder")
    if not error.filename or error.errno not in (*CANNOT_WRITE, errno.EEXIST):
        return None
    if error.errno == errno.ENOENT and Path(os.fsdecode(error.filename)).parent.exists():
        return None
    file = os.fsdecode(error.filename)
    return InputError(f"{file} must be usable, got {error.strerror}; change its permissions, or name another place.")


def setup_logging() -> None:
    """Log to the terminal and cache compiled programs between runs."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show; stderr does so anyway
    for noisy in ("absl", "jax", "orbax"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(Path("~/.cache/jaxdet/xla").expanduser()))


def take_config(files: list[str]) -> list[str]:
    """Return the folder of the data, if one is named; a config in its place is set as --config.

    Raises:
      InputError: there are several, it is neither, or it is a config beside --config.
    """
    if not files:
        return []
    if len(files) > 1:
        raise InputError(f"one folder or config must be named, got {', '.join(files)}; name them one by one.")
    name = os.path.expanduser(files[0])
    if Path(name).is_dir():
        return [name]
    is_config = name.partition(":")[0].endswith(".py") or "/" not in name
    if Path(name).exists() and not is_config or Path(name).is_file() and not name.endswith(".py"):
        raise InputError(f"{name!r} is a file; name the folder that it is in, or a config.")
    if not is_config:
        raise InputError(
            f"there is no folder {name!r}; name the folder of the data, or a config such as faster_devkit."
        )
    if flags.FLAGS["config"].value is not None:
        raise InputError(f"--config names a config, and so does {name!r}; name the folder of the data, or one config.")
    flags.FLAGS["config"].value = name
    return []


def _config(overrides: list[str], default: str | None, changes_stored: bool) -> ConfigDict | None:
    """Return the config that the flags name, with the overrides applied."""
    values = flags.FLAGS.flag_values_dict()
    name, workdir = values.get("config"), values.get("workdir") or ""
    resumes = default is not None and changes_stored and workdir and (Path(workdir) / experiment_json.NAME).exists()
    if name is not None:
        config = load_config(name)
    elif resumes or (overrides and changes_stored and workdir and default is None):
        config = stored_config(workdir)
    elif overrides and values.get("pretrained"):
        config = load_config(PUBLISHED[values["pretrained"]])
    elif default is not None and changes_stored and workdir and not overrides:
        raise InputError(f"--workdir={workdir} holds no run to resume; add --config=NAME to start one there.")
    elif default is not None:
        config = load_config(default)
    elif not overrides:
        return None
    elif changes_stored and "pretrained" in values:
        raise InputError(f"{overrides[0]} changes a config, and none is given; add --workdir=... or --pretrained=coco.")
    elif "config" in values:
        raise InputError(f"{overrides[0]} changes a config, and none is given; add --config=NAME.")
    else:
        raise InputError(f"{overrides[0]} changes a config, and this command takes none; remove it.")
    return override(config, overrides)
