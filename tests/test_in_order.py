"""Results of threads come in order, and only a bounded number is made ahead."""

import threading

import pytest

from keras_loader_bench.loaders.system import in_order as module
from keras_loader_bench.loaders.system.in_order import in_order


def test_results_come_in_order_however_long_each_takes(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    second_is_done = threading.Event()

    def slow_first(item):
        second_is_done.set() if item else second_is_done.wait(10)
        return item

    assert list(in_order(slow_first, range(20))) == list(range(20))


def test_only_a_few_are_drawn_ahead(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    drawn = []
    results = in_order(lambda item: item, (drawn.append(item) or item for item in range(1000)))
    for taken in range(1, 100):
        next(results)
        assert len(drawn) <= taken + 8
    results.close()
    assert len(drawn) < 200


def test_what_a_call_raises_is_raised():
    def fails(item):
        raise KeyError(item)

    with pytest.raises(KeyError, match="0"):
        next(in_order(fails, range(10)))
    assert list(in_order(fails, [])) == []
