"""doctor.json, as a whole examination writes it."""

import json
import math
from pathlib import Path

import pytest

from jaxdet.checks import InputError
from jaxdet.doctor.environment import Environment
from jaxdet.doctor.output import open_output, write
from jaxdet.doctor.report import Report


def test_the_report_is_written_as_json_and_replaced_by_the_next(examine):
    examine()
    report = examine()
    stored = json.loads(Path("doctor.json").read_text())
    assert stored["splits"] == report.splits
    assert [finding["text"] for finding in stored["findings"]] == [finding.text for finding in report.findings]
    assert stored["command"].startswith("jaxdet train")


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("report.txt", "--output must be a .json file, got report.txt"),
        ("../photos/doctor.json", "--output must be outside the data"),
        ("../photos/new/doctor.json", "--output must be outside the data"),
        ("notes.json", "notes.json must not be replaced, as jaxdet did not write it"),
        ("notes.json/doctor.json", "must be writable, got a file in its place"),
    ],
)
def test_files_of_the_users_are_never_in_danger(examine, tmp_path, output, error):
    (tmp_path / "workspace/notes.json").write_text("{}")
    with pytest.raises(InputError, match=error):
        examine(output=output)
    assert (tmp_path / "workspace/notes.json").read_text() == "{}"


def test_nothing_is_written_into_the_folder_of_the_data(devkit, examine, monkeypatch):
    monkeypatch.chdir(devkit.folder)
    examine()
    assert not (devkit.folder / "doctor.json").exists()


def test_numbers_that_json_lacks_are_null(tmp_path):
    report = Report(["jaxdet", "train"], Environment({}, [], 2, {}, "none"), [])
    report.objects = {"share": math.nan, "sizes": (1.5, math.nan)}
    write(open_output(str(tmp_path / "x.json"), None), report)
    assert json.loads((tmp_path / "x.json").read_text())["objects"] == {"share": None, "sizes": [1.5, None]}
