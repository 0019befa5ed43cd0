"""Decides which rows are compared and which are ahead, by rate and AU.

Only cases that ended well and whose batches are proven identical take part. A row counts as behind
only where both figures say so: a rate says that a process was slower, AU that its loader was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.statistics import Estimate, best

CaseOf = Callable[[Row], Throughput | None]
"""Picks the case of a row that is compared."""


@dataclass(frozen=True, kw_only=True)
class Best:
    """The row with the highest rate among those it may be compared with."""

    row: Row

    tied: tuple[Row, ...]
    """Rows that it is not proven faster than, by rate and by AU."""

    slower: tuple[Row, ...]
    """Rows that are proven slower, by rate and by AU."""

    @property
    def beyond_doubt(self) -> bool:
        """Whether there is a row to compare with and all of them are proven slower."""
        return bool(self.slower) and not self.tied


def feed_case(row: Row) -> Throughput | None:
    """Return the feed case of a row."""
    return row.feed


def train_case(row: Row) -> Throughput | None:
    """Return the training case of a row."""
    return row.train


CASES: Mapping[str, CaseOf] = {"train": train_case, "feed": feed_case}
"""Name of a timed benchmark -> its case of a row; what decides first comes first."""


def by_config(rows: Iterable[Row]) -> list[list[Row]]:
    """Split rows into those that may be compared with each other; rows are sorted already."""
    return [list(block) for _, block in groupby(rows, key=lambda row: row.config)]


def ranked_rates(rows: Iterable[Row], case: CaseOf) -> dict[str, Estimate]:
    """The rates that may be ranked, by label."""
    return {
        row.label: measured.rate
        for row in rows
        if (measured := case(row)) and measured.rate and row.may_be_ranked(measured)
    }


def ranked_utilizations(rows: Sequence[Row], case: CaseOf) -> dict[str, Estimate]:
    """AU of the rows whose rates may be ranked, by label."""
    ranked = ranked_rates(rows, case)
    return {
        row.label: measured.utilization
        for row in rows
        if row.label in ranked and (measured := case(row)) and measured.utilization
    }


def apart(rows: Sequence[Row], case: CaseOf, one: str, other: str) -> bool:
    """Whether two rows clearly differ: both rate and AU are apart, in the same direction."""
    rates, utilizations = ranked_rates(rows, case), ranked_utilizations(rows, case)
    higher = []
    for figures in (rates, utilizations):
        if (
            one not in figures
            or other not in figures
            or not figures[one].apart_from(figures[other])
        ):
            return False
        higher.append(figures[one].median > figures[other].median)
    return higher[0] == higher[1]


def unbeaten(rows: Sequence[Row], case: CaseOf) -> list[Row]:
    """Return the rows that none of the others is clearly ahead of.

    The row with the best median may be one that was measured badly. Who is not behind it may still
    be behind another one.
    """
    rates = ranked_rates(rows, case)

    def beats(one: Row, other: Row) -> bool:
        ahead = apart(rows, case, one.label, other.label)
        return ahead and rates[one.label].median > rates[other.label].median

    return [row for row in rows if not any(beats(other, row) for other in rows)]


def best_loaders(rows: Iterable[Row]) -> list[Best]:
    """Return the best row of each backend, or rather of each `Config`.

    Best is the highest median feed rate among the rows that may be ranked.

    Args:
        rows: the result of `rows_from_run`: sorted by options.

    Returns:
        One entry for each `Config` that has a feed rate which may be ranked, in their order.
    """
    return [found for group in by_config(rows) if (found := best_of(group, feed_case))]


def best_of(rows: Sequence[Row], case: CaseOf) -> Best | None:
    """Return the rankable row with the highest median rate; `None`: there is none.

    Args:
        rows: those of one `Config`.
        case: what is compared.
    """
    rates = ranked_rates(rows, case)
    if not rates:
        return None
    top = best(rates)
    rest = [row for row in rows if row.label in rates and row.label != top]
    behind = {row.label for row in rest if apart(rows, case, top, row.label)}
    return Best(
        row=next(row for row in rows if row.label == top),
        tied=tuple(row for row in rest if row.label not in behind),
        slower=tuple(row for row in rest if row.label in behind),
    )
