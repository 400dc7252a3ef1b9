"""doctor.json: where it may be written, and its content."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.doctor.report import Report
from jaxdet.io.output_folder import OutputFolder

NAME = "doctor.json"
CURE = "name another file with --output"


@dataclasses.dataclass(frozen=True)
class Target:
    """A file that may be written."""

    folder: OutputFolder
    name: str


def open_output(output: str | None, data: Path | None) -> Target | None:
    """Return the file to write, checked before the work; None for no file, as in the folder of the data.

    Args:
      output: --output; None for doctor.json in the current folder.
      data: folder of the data, which nothing is written to.

    Raises:
      InputError: it is no .json file, lies in the data's folder, was not written by the doctor, or cannot be written.
    """
    path = Path(output or NAME)
    if path.suffix != ".json":
        raise InputError(f"--output must be a .json file, got {path}; name one, such as {NAME}.")
    if data is not None and path.resolve().is_relative_to(data.resolve()):
        if output is None:
            return None
        raise InputError(f"--output must be outside the data in {data}, got {path}; {CURE}.")
    target = Target(OutputFolder(path.parent, cure=CURE), path.name)
    target.folder.check([path.name])
    return target


def write(target: Target, report: Report) -> None:
    """Write the report; errors as in OutputFolder.write."""
    target.folder.write(target.name, f"{json.dumps(_plain(report.content()), indent=1, ensure_ascii=False)}\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
