"""Config files: found by path or by the name of a shipped one, and run with their mistakes named."""

import runpy
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from jaxdet.checks import InputError, nearest
from jaxdet.config import experiment_json

PACKAGE = Path(__file__).parents[1]
# An installed package has its configs inside, a clone beside it.
SHIPPED = next((folder for folder in (PACKAGE / "configs", PACKAGE.parent / "configs") if folder.is_dir()), PACKAGE)


def load_config(name: str) -> ConfigDict:
    """Return the config of a file, of `FILE:ARGUMENT` (the argument of its get_config) or of a shipped config.

    load_config("configs/faster_voc.py") or load_config("faster_voc")

    Raises:
      InputError: there is no such file or shipped config, or it has a mistake; names the line.
    """
    name, *argument = name.split(":", 1)
    file = find_config(name)
    # Config files import each other as `from configs import faster_voc`. A clone has such a folder beside its scripts;
    # here the name always means the shipped folder, for installed packages too.
    configs = types.ModuleType("configs")
    configs.__path__ = [str(SHIPPED)]
    sys.modules.setdefault("configs", configs)
    try:
        module = runpy.run_path(file)
        config = module["get_config"](*argument) if "get_config" in module else None
    except InputError:
        raise
    except Exception as error:
        text = " ".join(str(error).replace("\\n", " ").replace("\\'", "'").split())
        raise InputError(f"--config: {_place(error, file)}: {type(error).__name__}: {text}; fix that line.") from error
    if not isinstance(config, ConfigDict):
        raise InputError(f"--config: {file} must have a function get_config() that returns a ConfigDict.")
    return config


def find_config(name: str) -> str:
    """Return the path of a config file or, where there is no such file, of the shipped config of this name.

    Raises:
      InputError: there is neither; names the nearest.
    """
    shipped = {path.stem: str(path) for path in SHIPPED.glob("[!_]*.py")}
    if Path(name).is_file():
        return name
    if name in shipped:
        return shipped[name]
    if name.endswith(".py"):
        siblings = [str(path) for path in Path(name).parent.glob("*.py")]
        raise InputError(f"--config: there is no file {name!r}; {nearest(name, siblings or shipped)}")
    raise InputError(f"--config: there is no config {name!r}; {nearest(name, shipped)}")


def stored_config(workdir: str) -> ConfigDict:
    """Return the config that a workdir was trained with; InputError where the folder is not a workdir."""
    config, _ = experiment_json.read(Path(workdir))
    return ConfigDict(_with_placeholders(config))


def _with_placeholders(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with None as an empty float, the one type of an optional field, so that it can be set."""
    return {
        name: _with_placeholders(value) if isinstance(value, dict) else placeholder(float) if value is None else value
        for name, value in config.items()
    }


def _place(error: Exception, file: str) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f"{file}, line {lines[-1]}" if lines else file
