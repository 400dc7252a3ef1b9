"""The doctor's report on screen: tables, findings by severity, and a training command with all advised flags."""

import dataclasses
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import rich.box
import rich.console
import rich.table
import rich.text

from jaxdet.doctor.cost import Cost
from jaxdet.doctor.environment import Environment
from jaxdet.doctor.finding import Finding
from jaxdet.training.device_memory import gigabytes

NAMES_SHOWN = 10  # of a finding, fewer if they are long; doctor.json has all
NAMES_LENGTH = 400  # characters of all names shown of a finding
NAME_LENGTH = 240  # characters shown of one name
STYLES = {"error": "bold red", "warning": "yellow", "note": ""}
CLASSES_SHOWN = 40
VERSIONS_SHOWN = ("python", "jax", "flax", "numpy", "tensorflow-datasets")


@dataclasses.dataclass
class Report:
    """All that the doctor found out; empty where there are no data to examine.

    Attributes:
      command: that trains, as words, without advised flags.
      source: folder and format of the data.
      splits: part -> Survey.row().
      classes: part -> class -> (objects, images).
      objects: objects.summary of the training split.
    """

    command: list[str]
    environment: Environment
    findings: list[Finding]
    source: str = ""
    splits: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    classes: dict[str, dict[str, tuple[int, int]]] = dataclasses.field(default_factory=dict)
    objects: dict[str, Any] = dataclasses.field(default_factory=dict)
    cost: Cost | None = None

    def content(self) -> dict[str, Any]:
        """Return the report as nested dicts and lists, with the command that has all flags."""
        return {**dataclasses.asdict(self), "command": self.advised_command()}

    def advised_command(self) -> str:
        """Return the training command with the flags of all findings, quoted for a shell."""
        advised = {_field(flag): flag for finding in self.findings for flag in finding.flags}
        words = [word for word in self.command if _field(word) not in advised]
        return shlex.join([*words, *advised.values()])


def show(report: Report, stream: TextIO | None = None) -> None:
    """Print a report: ruled and coloured on a terminal, plain text elsewhere."""
    console = rich.console.Console(file=stream or sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 160  # lines of a log file are not wrapped
    environment = report.environment
    rows = [
        ("versions", ", ".join(f"{name} {environment.versions.get(name, 'missing')}" for name in VERSIONS_SHOWN)),
        ("devices", "; ".join(environment.devices)),
        ("CPU cores", str(environment.cores)),
        *((f"free for {place}", free) for place, free in environment.disks.items()),
        ("compilation cache", environment.cache),
    ]
    _print_table(console, "Environment", ["", ""], rows)
    if report.source:
        _print_table(console, f"Data: {report.source}", ["part", *_columns(report.splits)], _rows(report.splits))
    if report.classes:
        _print_classes(console, report)
    if report.cost:
        _print_table(console, "Cost", ["", ""], _cost_rows(report.cost, report.splits))
    _print_findings(console, report.findings)
    flags = any(finding.flags for finding in report.findings)
    _title(console, f"{'Train with these flags' if flags else 'No flag is advised. Train'}:")
    _line(console, report.advised_command())


def _print_classes(console: rich.console.Console, report: Report) -> None:
    sizes = {row["class"]: row for row in report.objects.get("classes", [])}
    sides = report.objects.get("input", {})
    rows = []
    for name in report.classes["train"]:
        counts = ["{} in {}".format(*of_part[name]) for of_part in report.classes.values()]
        row = sizes.get(name)
        shown = [] if row is None else [_quantiles(row["size"], ".0f"), _quantiles(row["height / width"], ".2f")]
        rows.append((name, *counts, *(shown or ["", ""])))
    more = len(rows) - CLASSES_SHOWN
    title = (
        f"Objects in images; 5%, median and 95% of sizes at {sides.get('short_side')} x {sides.get('long_side')} pixels"
    )
    _print_table(console, title, ["class", *report.classes, "size", "height / width"], rows[:CLASSES_SHOWN])
    if more > 0:
        _line(console, f"... and {more} more classes")


def _print_findings(console: rich.console.Console, findings: Sequence[Finding]) -> None:
    _title(console, f"{len(findings)} findings")
    for finding in findings:
        _line(console, f"{finding.severity}: {finding.text}{_listed(finding.names)}", STYLES[finding.severity])
        if finding.flags:
            _line(console, f"    {shlex.join(finding.flags)}")


def _listed(names: Sequence[str]) -> str:
    shown: list[str] = []
    for name in names[:NAMES_SHOWN]:
        if shown and sum(map(len, shown)) + len(name) > NAMES_LENGTH:
            break
        shown.append(name[:NAME_LENGTH])
    more = f", ... ({len(names)} in all)" if len(names) > len(shown) else ""
    return f": {', '.join(shown)}{more}" if names else ""


def _cost_rows(cost: Cost, splits: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    height, width = cost.bucket
    images = splits.get("train", {}).get("images", 0)
    epochs = f", {cost.steps * cost.batch_size / images:.1f} epochs" if images else ""
    memory = "unknown" if cost.memory is None else gigabytes(cost.memory)
    available = "unknown" if cost.available is None else gigabytes(cost.available)
    step, hours = f"{cost.seconds:.3g} s", f"{cost.hours:.2g} hours"
    if math.isnan(cost.seconds):
        step = hours = "not timed, as a step needs more memory than there is"
    copies = sum(row["megabytes"] for row in splits.values()) * 1e6
    return [
        ("stage", f"{cost.stage}: {cost.steps} steps of {cost.batch_size} images{epochs}"),
        ("a step of the largest images", f"{step} at {height}x{width}"),
        ("all steps, without validation", f"{hours}; compiling an image size {cost.compile_seconds:.0f} s"),
        ("memory of a step", f"{memory} per device, of {available}"),
        ("disk", f"checkpoints {gigabytes(cost.checkpoints)}, prepared copy {gigabytes(copies)}"),
    ]


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(next(iter(rows.values()), {}))


def _rows(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(name, *map(str, row.values())) for name, row in rows.items()]


def _quantiles(values: Sequence[float], form: str) -> str:
    return "  ".join(format(value, form) for value in values)


def _print_table(
    console: rich.console.Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = rich.table.Table(box=rich.box.SIMPLE if console.is_terminal else None, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(rich.text.Text(_printable(cell)) for cell in row))
    _title(console, title)
    console.print(table)


def _title(console: rich.console.Console, text: str) -> None:
    console.print()
    _line(console, text, "bold")


def _line(console: rich.console.Console, text: str, style: str = "") -> None:
    console.print(rich.text.Text(_printable(text), style=style), soft_wrap=True)


def _printable(text: str) -> str:
    """Return a text without control characters, which names of files may have."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _field(flag: str) -> str:
    return flag.partition("=")[0]
