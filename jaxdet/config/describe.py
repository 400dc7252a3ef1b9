"""Descriptions of the config's fields, read from the schema: for --help and for the table in docs/training.md."""

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from jaxdet.config.limits import Most
from jaxdet.config.parse import parse

WIDTH = 100


def fields_text(config: Mapping[str, Any]) -> str:
    """Return the lines for --help: each field of a config with its value there, its type and its meaning."""
    lines: list[str] = []
    section = ""
    for path, value, field_type, meaning in _entries(parse(config), ""):
        if path.partition(".")[0] != section and "." in path:
            section = path.partition(".")[0]
            lines.append("")
        lines.append(f"  --config.{path}={_shell_text(value)}")
        text = f"{field_type}: {meaning}"
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def describe(hint: Any) -> tuple[str, str]:
    """Return the type of an annotated field, with minimum and maximum, and its meaning."""
    metadata = getattr(hint, "__metadata__", ())
    hint = typing.get_args(hint)[0] if metadata else hint
    meaning = " ".join(text for text in metadata if isinstance(text, str))
    field_type = str(hint) if typing.get_args(hint) else hint.__name__
    return "".join([field_type.replace(" | None", " or None"), *map(_limit, metadata)]), meaning


def _shell_text(value: Any) -> str:
    """Return a value as a shell needs it."""
    return "" if value is None else f"'{value}'" if isinstance(value, tuple) else str(value)


def _limit(value: Any) -> str:
    if isinstance(value, Most):
        return f", {'at most' if value.allowed else 'below'} {value.limit:g}"
    return f", at least {value:g}" if isinstance(value, int | float) else ""


def _entries(section: Any, prefix: str) -> Iterator[tuple[str, Any, str, str]]:
    """Yield path, value, type and meaning of all fields of a parsed config."""
    hints = typing.get_type_hints(type(section), include_extras=True)
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from _entries(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value, *describe(hints[field.name])
