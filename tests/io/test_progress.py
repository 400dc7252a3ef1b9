"""A bar on a terminal, some twenty lines elsewhere; the items pass through either way."""

import io
import logging

import pytest

from jaxdet.io.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_and_no_line(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(progress("abc", name="2_features", total=5, done=2)) == ["a", "b", "c"]
    assert "2_features:  40%" in terminal.getvalue() and "5/5" in terminal.getvalue()
    assert "image/s" in terminal.getvalue() or "s/image" in terminal.getvalue()
    assert not caplog.records


@pytest.mark.parametrize(
    ("total", "done", "numbers"),
    [(3, 0, [1, 2, 3]), (20, 17, [18, 19, 20]), (41, 30, [33, 36, 39, 41]), (5011, 4700, [4769, 5011]), (2, 2, [])],
)
def test_elsewhere_there_are_some_lines(caplog, total, done, numbers):
    caplog.set_level(logging.INFO)
    items = range(done, total)
    assert list(progress(items, name="3_svms", total=total, done=done, unit="class")) == list(items)
    assert caplog.messages == [f"3_svms {n}/{total}" for n in numbers]


def test_a_line_says_what_is_done_not_what_is_begun(caplog):
    caplog.set_level(logging.INFO)
    going = progress("ab", name="2_features", total=2)
    next(going)
    assert not caplog.messages
    next(going)
    assert caplog.messages == ["2_features 1/2"]
