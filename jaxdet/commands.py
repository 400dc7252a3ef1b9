"""What the scripts share: flags, a user's mistake as one line instead of a traceback, joining other processes."""

import argparse
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from absl import app, flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from jaxdet.checks import InputError, nearest

STORED_CONFIG = Path(__file__).with_name("stored_config.py")


def run(
    main: Callable[[list[str]], None],
    *,
    takes_files: bool = False,
    default_config: str | None = None,
    changes_stored: bool = False,
) -> None:
    """Parses the flags and calls main(files). A mistake in the flags, the config or the data and too little
    memory exit with code 2.

    Args:
      takes_files: arguments that are no flags are files; otherwise they are mistakes.
      default_config: the file that --config names where it is not given.
      changes_stored: where it is not given, --config.field=value changes the config of --workdir.
    """

    def parse(arguments: list[str]) -> list[str]:
        file, workdir = (_value(arguments, flag) for flag in ("config", "workdir"))
        changed = any(re.match(r"--?(?:no)?config\.", argument) for argument in arguments)
        if file is None and (default_config or (changes_stored and changed and workdir)):
            # Not as the flag's own default: that is loaded before anyone could catch its errors.
            file = default_config or f"{STORED_CONFIG}:{workdir}"
            arguments = [arguments[0], f"--config={file}", *arguments[1:]]
        config = ConfigDict() if file is None else _load(file)
        _check_fields(config, arguments)
        try:
            rest = flags.FLAGS(arguments)
        except (flags.Error, config_flags.UnsupportedOperationError) as error:
            raise InputError(_wrong_value(str(error))) from error
        if file is not None:
            _check_elements(config, flags.FLAGS["config"].value, "config")
        if len(rest) > 1 and not takes_files:
            raise InputError(f"{rest[1]!r} is not a flag; flags are written --name=value.")
        return rest

    try:
        app.run(lambda arguments: main(arguments[1:]), flags_parser=parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"error: {_too_little_memory(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print(" ".join(["stopped by SIGINT", *map(str, interrupt.args)]), file=sys.stderr)
        sys.exit(130)


def join(processes: str) -> None:
    """Joins the other processes of a run over several hosts, before anything asks jax for its devices.

    Args:
      processes: '' for a run of this process alone; 'auto' where jax knows the cluster (TPU pods, Slurm, Open MPI,
        Kubernetes); else 'HOST:PORT,COUNT,NUMBER': where process 0 listens, how many there are, which one this is.

    Raises:
      InputError: it is none of these, or the others cannot be found.
    """
    if not processes:
        return
    manual = re.fullmatch(r"(.+:\d+),(\d+),(\d+)", processes)
    if processes != "auto" and not (manual and int(manual[3]) < int(manual[2])):
        raise InputError(
            f"--distributed must be auto or HOST:PORT,COUNT,NUMBER, numbers from 0 on, got {processes!r}; "
            "such as --distributed=10.0.0.1:1234,2,0 on the first of two hosts."
        )
    try:
        jax.distributed.initialize(*((manual[1], int(manual[2]), int(manual[3])) if manual else ()))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed={processes}: the processes do not find each other ({error}); "
            "start all of them, and name the host and a free port of the first: HOST:PORT,COUNT,NUMBER."
        ) from error


def _value(arguments: list[str], flag: str) -> str | None:
    """What a flag is given, before the flags are parsed; None where it is not there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"-{flag}", f"--{flag}", nargs="?", const="", dest="value")
    return parser.parse_known_args(arguments[1:])[0].value


def _load(given: str) -> ConfigDict:
    """Runs a config file, only to say what is wrong with it: config_flags loads it again."""
    file, *argument = given.split(":", 1)
    if not Path(file).is_file():
        others = map(str, Path("configs").glob("*.py"))
        raise InputError(f"--config: there is no file {file!r}; {nearest(file, others)}")
    try:
        module = runpy.run_path(file)
        config = module["get_config"](*argument) if "get_config" in module else None
    except InputError:
        raise
    except Exception as error:
        text = " ".join(str(error).replace("\\n", " ").replace("\\'", "'").split())
        raise InputError(f"--config: {_place(error, file)}: {type(error).__name__}: {text}; mend that line.") from error
    if not isinstance(config, ConfigDict):
        raise InputError(f"--config: {file} must have a function get_config() that returns a ConfigDict.")
    return config


def _too_little_memory(error: Exception) -> str:
    got = str(error).partition("\n")[0].rstrip(".") or "too little"
    return f"memory must hold what is computed, got {got}; lower the batch sizes or the images' sides, or give it more."


def _place(error: Exception, file: str) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f"{file}, line {lines[-1]}" if lines else file


def _check_fields(config: ConfigDict, arguments: list[str]) -> None:
    """Raises InputError for an override --config.a.b of a field that the config does not have."""
    for argument in arguments:
        override = re.match(r"--?(?:no)?config\.([^=]+)", argument)
        if override and not config:
            if "config" not in flags.FLAGS:
                raise InputError(f"{argument} changes a config, and this script takes none; leave it away.")
            raise InputError(f"{argument} changes a config, and none is given; give --config=FILE, too.")
        section, path = config, ""
        for name in override[1].split(".") if override else ():
            if not isinstance(section, ConfigDict):
                raise InputError(f"config: {path[1:]} has no fields; write --config{path}=value.")
            prefix = f"{path}.".removeprefix(".")
            if name not in section:
                raise InputError(f"config: no field {prefix + name!r}; {_meant(config, name, section, prefix)}")
            section, path = section[name], f"{path}.{name}"
        if override and isinstance(section, ConfigDict):
            raise InputError(f"config: {path[1:]} is a section; set its fields: --config{path}.{min(section)}=...")


def _meant(config: ConfigDict, name: str, section: ConfigDict, prefix: str) -> str:
    """The fields of this name in other sections, else the nearest name in the section that was meant."""
    elsewhere = [repr(field) for field in _fields(config) if field.rpartition(".")[2] == name]
    return f"did you mean {' or '.join(elsewhere)}?" if elsewhere else nearest(name, section, prefix=prefix)


def _fields(section: ConfigDict, prefix: str = "") -> Iterator[str]:
    """All fields with their paths: 'training.steps'."""
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _check_elements(config: ConfigDict, overridden: ConfigDict, path: str) -> None:
    """Raises InputError for a tuple that was overridden with elements of another type, which config_flags lets pass."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            _check_elements(value, overridden[name], f"{path}.{name}")
        elif isinstance(value, tuple) and value:
            kind = (int, float) if isinstance(value[0], float) else type(value[0])
            wrong = [element for element in overridden[name] if not isinstance(element, kind)]
            if wrong:
                raise InputError(f"--{path}.{name} must be like {value}, got {wrong[0]!r}; write it as in '(1, 2)'.")


def _wrong_value(message: str) -> str:
    wrong = re.match(r"flag --(config\.[\w.]+)=(.*?): ", message, re.DOTALL)
    if wrong is None:
        return message
    kind = flags.FLAGS[wrong[1]].parser.flag_type()
    return f"--{wrong[1]} must be {kind}, got {wrong[2]!r}; the config file shows such a value."
