"""The time for which a step is left alone: it follows the time from batch to batch."""

import pytest

from keras_loader_bench.loaders.bridges import head_start
from keras_loader_bench.loaders.bridges.head_start import GROUP, LONGEST_US, SHORTEST_US, HeadStart


@pytest.fixture
def waits(monkeypatch):
    """Return what groups wait that begin after the given milliseconds a batch of the one before."""
    clock = [100.0]
    monkeypatch.setattr(head_start.time, "perf_counter", lambda: clock[0])
    own = HeadStart()

    def waits(*milliseconds, first=1):
        found = []
        for index, each in enumerate(milliseconds, start=first):
            clock[0] += GROUP * each / 1000
            found.append(own.of_group(index))
        return found

    assert own.of_group(0) == SHORTEST_US
    return waits


def test_it_is_a_fifth_of_the_time_from_batch_to_batch(waits):
    assert waits(3, 3, 2, 2)[1:] == pytest.approx([600, 400, 400], abs=1)


def test_it_has_limits(waits):
    assert waits(0.01, 0.01, 100, 100) == [SHORTEST_US, SHORTEST_US, SHORTEST_US, LONGEST_US]


def test_one_pause_makes_no_batch_late(waits):
    assert waits(1, 1, 10_000, 1, 1)[1:] == pytest.approx([200] * 4, abs=1)


def test_the_next_pass_begins_with_it_whatever_lay_between(waits):
    waits(2, 2)
    assert waits(50_000, 2, 2, first=0) == pytest.approx([400] * 3, abs=1)
