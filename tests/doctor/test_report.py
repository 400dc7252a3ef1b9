import io
import math

from jaxdet.doctor.cost import Cost
from jaxdet.doctor.environment import Environment
from jaxdet.doctor.finding import Finding
from jaxdet.doctor.report import Report, show

ENVIRONMENT = Environment({"python": "3.12"}, ["cpu: cpu"], 2, {"workdir runs/x": "9 GB"}, "none")


def report(*findings, command=("jaxdet", "train", "--config=faster_devkit")):
    return Report(list(command), ENVIRONMENT, list(findings))


def printed(report):
    stream = io.StringIO()
    show(report, stream)
    return stream.getvalue()


def test_the_command_has_all_flags_quoted_for_a_shell():
    advised = report(
        Finding("note", "advice", "a", flags=("--config.anchors.scales=(1.0,2.0)",)),
        Finding("note", "advice", "b", flags=("--config.training.eval_every=0", "--config.splits.validation=")),
    )
    assert advised.advised_command() == (
        "jaxdet train --config=faster_devkit '--config.anchors.scales=(1.0,2.0)' --config.training.eval_every=0 "
        "--config.splits.validation="
    )


def test_an_advised_flag_replaces_the_users():
    overridden = report(
        Finding("note", "advice", "a", flags=("--config.input.max_gt=72",)),
        command=("jaxdet", "train", "--config.input.max_gt=64", "--config.seed=1"),
    )
    assert overridden.advised_command() == "jaxdet train --config.seed=1 --config.input.max_gt=72"


def test_a_finding_is_one_line_with_its_first_names_and_its_flags_below():
    text = printed(report(Finding("error", "images", "skipped", tuple(map(str, range(12))), ("--config.seed=1",))))
    assert "error: skipped: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (12 in all)\n    --config.seed=1\n" in text


def test_long_names_are_shown_whole_and_fewer_of_them():
    names = tuple(f"train/{i}{80 * 'a'} = test/{i}{80 * 'b'}" for i in range(12))
    text = printed(report(Finding("warning", "duplicates", "pairs", names)))
    assert f"warning: pairs: {names[0]}, {names[1]}, ... (12 in all)\n" in text
    assert f": {300 * 'a'}" not in printed(report(Finding("note", "classes", "long", (300 * "a",))))


def test_names_with_control_characters_do_not_reach_the_terminal():
    text = printed(report(Finding("error", "images", "skipped", ("a\x1b[2Jb\n",))))
    assert "\x1b" not in text
    assert "a\\x1b[2Jb" in text


def test_a_step_that_was_not_timed_has_no_number_of_hours():
    untimed = report()
    untimed.cost = Cost("joint", (608, 800), 2, 100, 1.0, math.nan, math.nan, 4_000, 10, 1_000, 1)
    text = printed(untimed)
    assert text.count("not timed, as a step needs more memory than there is") == 2
    assert "nan" not in text
