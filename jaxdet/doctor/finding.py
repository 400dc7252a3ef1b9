"""A finding of the doctor: what is wrong or can be better, where, and the flag that changes it."""

import dataclasses
from typing import Literal

Severity = Literal["error", "warning", "note"]
ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
      severity: "error": training stops, or an image or an object is lost to it; "warning": the result is worse or
        cannot be trusted; "note": time or memory can be saved, or it is good to know.
      topic: the section of the report.
      text: one sentence without a full stop.
      names: images or classes that it is about.
      flags: of the training command, ready to paste, not quoted for a shell; () where no flag helps.
    """

    severity: Severity
    topic: str
    text: str
    names: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Return the findings by severity, those of one severity in their order."""
    return sorted(findings, key=lambda finding: ORDER[finding.severity])
