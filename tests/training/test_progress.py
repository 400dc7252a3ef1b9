from jaxdet.io.progress import counting
from jaxdet.training.progress import Progress


def test_progress_prints_plain_lines_without_a_terminal(capsys):
    progress = Progress("joint", start=0, steps=1567)
    progress.step(120)
    progress.report(120, {"loss": 1.23456, "learning_rate": 0.001}, 21.34, 192.4)
    progress.say("joint: [saved]")
    progress.close()
    assert capsys.readouterr().out.splitlines() == [
        "joint 120/1567  loss 1.235  learning_rate 0.001  21.3 images/s  0:03:12 left",
        "joint: [saved]",
    ]


def test_a_report_of_the_first_steps_has_no_time_left(capsys):
    progress = Progress("joint", start=0, steps=9)
    progress.report(1, {"loss": 1.5}, 21.34, None)
    progress.close()
    assert capsys.readouterr().out == "joint 1/9  loss 1.5  21.3 images/s\n"


def test_progress_shows_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take the output for a terminal
    monkeypatch.setenv("COLUMNS", "60")
    progress = Progress("joint", start=60, steps=200)
    progress.step(120)
    progress.report(120, {f"loss{i}": 1.23456 for i in range(8)}, 21.34, 192.4)
    progress.close()
    shown = capsys.readouterr().out
    assert "120/200" in shown
    assert "21.3 images/s  0:03:12 left" in shown
    assert all(f"loss{i}" in shown for i in range(8))  # on several lines


def test_other_work_has_its_bar_beside_that_of_training(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "90")
    progress = Progress("joint", start=0, steps=200)
    with counting("joint: validating", total=72) as finish:
        finish(2)
        progress.step(20)  # draws
        progress._bar.refresh()
    progress.close()
    printed, errors = capsys.readouterr()
    assert "20/200" in printed and "joint: validating" in printed and "2/72" in printed
    assert not errors


def test_the_first_estimate_of_the_time_left_is_one_line_without_a_terminal(capsys):
    progress = Progress("joint", start=0, steps=100)
    progress.estimate(3, 61.2)
    progress.estimate(4, 60.2)
    progress.close()
    assert capsys.readouterr().out == "joint 3/100  about 0:01:01 left\n"
