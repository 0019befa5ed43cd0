"""The order in which the processes of all cases run.

Pure functions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from keras_loader_bench.bench.plan.case import Case


def passes(
    cases: Sequence[Case], *, processes_of: Callable[[str], int], seed: int
) -> Iterator[tuple[int, Case]]:
    """Yield each process of each case: one pass over all cases, then the next.

    So the processes of a case are spread over the run, and those of one pass are neighbours in
    time. Every pass has an order of its own, so that no case always follows the same one.

    Args:
        cases: what is measured.
        processes_of: benchmark -> processes per case.
        seed: of the orders.

    Yields:
        The number of the pass, from 1, and a case.
    """
    for number in range(1, 1 + max((processes_of(case.bench) for case in cases), default=0)):
        part = [case for case in cases if processes_of(case.bench) >= number]
        random.Random(f"{seed}/{number}").shuffle(part)  # noqa: S311  # no secret
        for case in part:
            yield number, case
