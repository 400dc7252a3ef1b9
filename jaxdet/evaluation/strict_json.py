"""JSON that every reader takes, without NaN and infinity, and that a person can read."""

import json
import math
from typing import Any


def strict_json(value: Any) -> str:
    """Return the text of a JSON file: a line per entry of a dict, a list on one line, of lists one line each.

    Numbers that are not finite become null.
    """
    return f"{_text(value, '')}\n"


def _text(value: Any, indent: str) -> str:
    """Return a value as JSON; all lines but the first are indented."""
    inner = f"{indent} "
    if isinstance(value, dict) and value:
        entries = [f"{json.dumps(str(key), ensure_ascii=False)}: {_text(item, inner)}" for key, item in value.items()]
        return _lines("{", entries, "}", indent)
    if isinstance(value, list | tuple):
        items = [_text(item, inner) for item in value]
        return _lines("[", items, "]", indent) if _nested(value) else f"[{', '.join(items)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _nested(items: list[Any] | tuple[Any, ...]) -> bool:
    return any(isinstance(item, list | tuple | dict) for item in items)


def _lines(opening: str, entries: list[str], closing: str, indent: str) -> str:
    separator = f",\n{indent} "
    return f"{opening}\n{indent} {separator.join(entries)}\n{indent}{closing}"
