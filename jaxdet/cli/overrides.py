"""Overrides of config fields on the command line: --config.section.field=value."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from jaxdet.checks import InputError
from jaxdet.config.parse import fields_of
from jaxdet.config.suggest import suggest

OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]+)")


def split_overrides(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without the overrides, and the overrides."""
    others: list[str] = []
    overrides: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not OVERRIDE.match(argument):
            others.append(argument)
            continue
        needs_value = "=" not in argument and not argument.lstrip("-").startswith("no")
        if needs_value and waiting and not waiting[0].startswith("-"):  # --config.field value
            argument = f"{argument}={waiting.pop(0)}"
        overrides.append(argument)
    return others, overrides


def overridden_fields(arguments: list[str]) -> set[str]:
    """Return the fields of the config that the arguments set, such as "net.width"."""
    return {match[1].strip() for argument in arguments if (match := OVERRIDE.match(argument))}


def override(config: ConfigDict, overrides: list[str]) -> ConfigDict:
    """Return the config, locked, with the fields that it leaves to the schema and the overrides applied.

    Raises:
      InputError: a field that the config does not have, a section, or a value of another type.
    """
    _add_defaults(config)
    for argument in overrides:
        _check_field(config, argument)
    before = dict(_fields(config))
    values = flags.FlagValues()
    arguments = ["config", *overrides]  # the first is the program's name
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        values(arguments)
    except flags.Error as error:
        raise InputError(_wrong_value(str(error), values)) from error
    overridden: ConfigDict = values.config
    _check_elements(before, dict(_fields(overridden)))
    return overridden


def _add_defaults(config: ConfigDict) -> None:
    """Add the fields that a config leaves to the schema's defaults, so that they can be overridden."""
    fields = fields_of(config)
    needed = {path.partition(".")[0] for path, field in fields.items() if field.default is dataclasses.MISSING}
    with config.unlocked():
        for name in {path.partition(".")[0] for path in fields} - needed - set(config):
            config[name] = ConfigDict()  # a section that may be left out
        for path, field in fields.items():
            section: Any = config
            *sections, name = path.split(".")
            for inner in sections:
                section = section.get(inner) if isinstance(section, ConfigDict) else None
            if isinstance(section, ConfigDict) and name not in section and field.default is not dataclasses.MISSING:
                section[name] = field.default


def _check_field(config: ConfigDict, argument: str) -> None:
    """Raise InputError unless the override names a field of the config."""
    match = OVERRIDE.match(argument)
    names = match[1].split(".") if match else []
    section: Any = config
    for depth, name in enumerate(names):
        path = ".".join(names[:depth])
        if not isinstance(section, ConfigDict):
            raise InputError(f"config: {path} has no fields; write --config.{path}=value.")
        if name not in section:
            prefix = f"{path}." if path else ""
            fields = dict(_fields(config))
            raise InputError(f"config: no field {prefix + name!r}; {suggest(prefix + name, fields)}")
        section = section[name]
    if isinstance(section, ConfigDict):
        path = ".".join(names)
        raise InputError(f"config: {path} is a section; set its fields: --config.{path}.{min(section)}=...")


def _fields(section: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all fields as (path, value), such as ("training.steps", 100)."""
    for name, value in section.items():
        if isinstance(value, ConfigDict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _check_elements(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Raise InputError for a tuple overridden with elements of another type, which config_flags accepts."""
    for path, value in before.items():
        if isinstance(value, tuple) and value:
            element_type = (int, float) if isinstance(value[0], float) else type(value[0])
            wrong = [element for element in after[path] if not isinstance(element, element_type)]
            if wrong:
                raise InputError(f"--config.{path} must be like {value}, got {wrong[0]!r}; write it as in '(1, 2)'.")


def _wrong_value(message: str, values: flags.FlagValues) -> str:
    """Return an error of absl in the wording of the others, where it is about the value of a field."""
    wrong = re.match(r"flag --(config\.[\w.]+)=(.*?): ", message, re.DOTALL)
    if wrong is None:
        return message
    value_type = values[wrong[1]].parser.flag_type()
    return f"--{wrong[1]} must be {value_type}, got {wrong[2]!r}; the config file shows such a value."
