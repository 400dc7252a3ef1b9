"""The table of all config fields in docs/training.md, generated from the schema.

python -m tests.fields_table      writes it
"""

import dataclasses
import inspect
import pathlib
import typing

from jaxdet.config.describe import describe
from jaxdet.config.parse import DATASETS, SCHEMAS
from jaxdet.config.schema import FasterRcnnAlternating

TRAINING = pathlib.Path(__file__).parents[1] / "docs/training.md"
BEGIN, END = "<!-- fields:begin -->\n", "<!-- fields:end -->"
FOUR_STEPS = "4-step training"


def fields_table() -> str:
    """Return the table of all config fields, section by section, from the schema."""
    documents: dict[str, list[str]] = {"": []}  # section -> the functions that take its fields
    rows: dict[str, dict[str, list[str]]] = {}  # section -> row of the table -> the systems or data sets that have it

    def add(schema: type, path: str, owner: str) -> None:
        section = path.partition(".")[0]
        for name, annotated in typing.get_type_hints(schema, include_extras=True).items():
            hint = typing.get_args(annotated)[0] if hasattr(annotated, "__metadata__") else annotated
            field = f"{path}.{name}".removeprefix(".")
            if name == "dataset":
                for kind, dataset in DATASETS.items():
                    document(dataset, field)
                    add(dataset, field, kind)
            elif dataclasses.is_dataclass(hint):
                if not path and owner != FOUR_STEPS:  # its sections are parts of the others'
                    document(hint, field)
                add(hint, field, owner)
            else:
                field_type, meaning = describe(annotated)
                owners = rows.setdefault(section, {}).setdefault(f"| `{field}` | {field_type} | {meaning}", [])
                owners += [] if owner in owners else [owner]

    def document(schema: type, section: str) -> None:
        text = inspect.cleandoc(schema.__doc__ or "").partition("\n")[0].removesuffix(".")
        texts = documents.setdefault(section, [])
        if text not in texts and not text.startswith(f"{schema.__name__}("):  # a dataclass without a docstring has one
            texts.append(text)

    for system, schema in {**SCHEMAS, FOUR_STEPS: FasterRcnnAlternating}.items():
        add(schema, "", system)
    lines = []
    for section in {**documents, **rows}:
        everyone = {owner for owners in rows[section].values() for owner in owners}
        texts = [f"- {text}" for text in documents.get(section, [])]
        lines += [f"### `{section}`" if section else "### Top level", "", *texts, *([""] if texts else [])]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        lines += [f"{row}{only_in(set(owners), everyone)} |" for row, owners in rows[section].items()]
        lines += [""]
    return "\n".join(lines) + "\n"


def only_in(owners: set[str], everyone: set[str]) -> str:
    """Return which of the systems or data sets have a field, where not all have it."""
    if owners == everyone:
        return ""
    named = ", ".join(sorted(owners - {FOUR_STEPS}))  # which has what joint training has, except lengths
    return f" (not {FOUR_STEPS})" if everyone - owners == {FOUR_STEPS} else f" ({named})"


if __name__ == "__main__":
    before, _, after = TRAINING.read_text().partition(BEGIN)
    TRAINING.write_text(before + BEGIN + fields_table() + END + after.partition(END)[2])
