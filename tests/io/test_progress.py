"""A bar on a terminal, few lines elsewhere; the items pass through either way."""

import io
import logging
import re
import time

import pytest

from jaxdet.io import progress as module
from jaxdet.io.progress import counting, download_progress, progress, waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_and_no_line(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(progress("abc", name="2_features", total=5, done=2)) == ["a", "b", "c"]
    assert "2_features" in terminal.getvalue() and "5/5" in terminal.getvalue()
    assert "images/s" in terminal.getvalue()
    assert not caplog.records


def test_a_bar_of_a_loop_that_breaks_off_is_removed(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    items = progress("abc", name="2_features", total=3)
    next(items)
    items.close()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is erased


def test_the_bar_of_a_download_shows_bytes(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with download_progress("downloading a.tar") as show:
        show(0, None)
        show(2_000_000, 4_000_000)
    assert "downloading a.tar" in terminal.getvalue() and "2.0/4.0 MB" in terminal.getvalue()


def test_a_download_shows_nothing_without_a_terminal(capsys):
    with download_progress("downloading a.tar") as show:
        show(5, 10)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def every_line(monkeypatch, caplog):
    monkeypatch.setattr(module, "FIRST_LINE", 0)
    monkeypatch.setattr(module, "LINE_EVERY", 0)
    caplog.set_level(logging.INFO)


def test_elsewhere_lines_count_the_finished_items_only(every_line, caplog):
    items = progress("abc", name="3_svms", total=5, done=2, unit="class")
    next(items)
    assert not caplog.messages
    assert list(items) == ["b", "c"]
    assert caplog.messages == ["3_svms 3/5", "3_svms 4/5", "3_svms 5/5"]


def test_work_that_lasts_has_a_line_after_five_seconds_and_one_every_thirty(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    clock = iter(range(1000))  # one second per item
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with counting("features", total=100) as finish:
        for _ in range(71):
            finish(1)
    assert caplog.messages == ["features 5/100", "features 35/100", "features 65/100", "features 71/100"]


def test_short_work_has_no_line(caplog):
    caplog.set_level(logging.INFO)
    assert list(progress(range(40), name="3_svms", total=40)) == list(range(40))
    with waiting("saving"):
        pass
    assert not caplog.messages


def test_waiting_is_a_line_with_its_seconds_until_it_ends(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "FIRST_LINE", 0.01)
    monkeypatch.setattr(module, "LINE_EVERY", 0.01)
    with pytest.raises(ZeroDivisionError), waiting("initialising"):
        while len(caplog.messages) < 2:
            time.sleep(0.01)
        raise ZeroDivisionError
    lines = len(caplog.messages)
    assert set(caplog.messages) == {"initialising (0 s)"}
    time.sleep(0.05)
    assert len(caplog.messages) == lines


def test_waiting_is_a_bar_with_its_time_on_a_terminal(monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with waiting("initialising"):
        pass
    assert "initialising" in terminal.getvalue() and "0:00:00" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K") and not caplog.messages


def test_work_inside_other_work_has_its_bar_below(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with waiting("outer"):
        with counting("inner", total=7) as finish:
            finish(3)
            module._bars[0].refresh()
            assert re.search(r"outer.*\n.*inner.*3/7", terminal.getvalue())
        shown = len(terminal.getvalue())
    assert "inner" not in terminal.getvalue()[shown:]
    assert not module._bars
