"""Time of parts, with a clock that is set by hand."""

import pytest

from jaxdet.evaluation.stopwatch import Stopwatch


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_part_inside_another_is_counted_once(clock):
    watch = Stopwatch(clock)
    for _ in range(2):
        with watch.part("outer"):
            clock.now += 1
            with watch.part("inner"):
                clock.now += 10
            clock.now += 2
        clock.now += 100
    assert watch.seconds == {"outer": 6, "inner": 20}


def test_a_part_that_fails_is_counted_and_left(clock):
    watch = Stopwatch(clock)
    with pytest.raises(ValueError), watch.part("broken"):
        clock.now += 3
        raise ValueError
    clock.now += 5
    assert watch.seconds == {"broken": 3}


def test_the_time_of_items_to_come_is_not_the_time_of_their_use(clock):
    def items():
        for i in range(3):
            clock.now += 1
            yield i

    watch = Stopwatch(clock)
    with watch.part("use"):
        for _ in watch.each("wait", items()):
            clock.now += 10
    assert watch.seconds == {"use": 30, "wait": 3}
