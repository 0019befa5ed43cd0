"""The processes of each case are spread over the run, in orders that the seed gives."""

from itertools import groupby

from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.plan.passes import passes
from keras_loader_bench.bench.plan.protocol import Protocol

VALUES = {
    "backend": ["jax"],
    "loader": ["numpy", "sequence", "stock_sequence", "eager_sequence"],
    "batch_size": [64],
    "pixels": ["float32"],
    "samples": [512],
}
CASES = [case for bench in ("feed", "memory") for case in cases_of(bench, VALUES)]
PROTOCOL = Protocol(processes=5, memory_processes=3)


def order(seed=0):
    return list(passes(CASES, processes_of=PROTOCOL.processes_of, seed=seed))


def test_each_pass_has_each_case_once_and_memory_cases_are_in_the_first_ones():
    numbers = [number for number, _ in order()]
    assert numbers == sorted(numbers)
    for number, part in groupby(order(), key=lambda each: each[0]):
        cases = [case for _, case in part]
        expected = CASES if number <= 3 else [case for case in CASES if case.bench == "feed"]
        assert sorted(map(str, cases)) == sorted(map(str, expected))
    assert numbers[-1] == 5


def test_the_seed_gives_the_orders_and_every_pass_has_another():
    assert order() == order()
    assert order() != order(seed=1)
    parts = [tuple(case for _, case in part) for _, part in groupby(order(), key=lambda e: e[0])]
    assert len(set(parts)) == len(parts)


def test_nothing_has_no_order():
    assert list(passes([], processes_of=PROTOCOL.processes_of, seed=0)) == []
