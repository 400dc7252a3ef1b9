"""A bar on a terminal, at most twenty lines elsewhere; the items pass through either way."""

import io
import logging

import pytest

from jaxdet.io import progress as module
from jaxdet.io.progress import download_progress, progress


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


@pytest.mark.parametrize(
    ("total", "done", "numbers"),
    [(3, 0, [1, 2, 3]), (20, 17, [18, 19, 20]), (41, 30, [33, 36, 39, 41]), (5011, 4700, [4769, 5011]), (2, 2, [])],
)
def test_elsewhere_there_are_some_lines(caplog, monkeypatch, total, done, numbers):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LINE_SECONDS", 0)
    items = range(done, total)
    assert list(progress(items, name="3_svms", total=total, done=done, unit="class")) == list(items)
    assert caplog.messages == [f"3_svms {n}/{total}" for n in numbers]


def test_a_fast_loop_logs_only_its_end(caplog):
    caplog.set_level(logging.INFO)
    assert list(progress(range(40), name="3_svms", total=40)) == list(range(40))
    assert caplog.messages == ["3_svms 40/40"]


def test_a_line_counts_finished_items_only(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LINE_SECONDS", 0)
    items = progress("ab", name="2_features", total=2)
    next(items)
    assert not caplog.messages
    next(items)
    assert caplog.messages == ["2_features 1/2"]
