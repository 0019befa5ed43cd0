"""Judges whether a case became faster or slower between two runs.

A case changed only if its AU did and its rate moved with it; AU is the rate relative to the ceiling
in the same process. A slower machine changes only the rate; a faster step changes both in opposite
directions. An emulated step takes the same time on a slower machine, so there both fall, and the
CPU seconds of the ceiling show the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from keras_loader_bench.bench.compare.pairs import Pair, Pairs
from keras_loader_bench.bench.compare.ratio import Ratio
from keras_loader_bench.bench.record.schema import SKIPPED, CaseRecord
from keras_loader_bench.bench.report.figures.endings import case_outcome
from keras_loader_bench.bench.report.figures.throughput import round_figures
from keras_loader_bench.bench.statistics import MIN_PROCESSES

FASTER = "faster"
SLOWER = "slower"
NO_CLEAR_DIFFERENCE = "no clear difference"
TOO_FEW = "too few processes"
REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one case changed from one run to another."""

    pair: Pair
    verdict: str

    rate: Ratio | None = None
    """Samples per second, after / before."""

    utilization: Ratio | None = None
    """AU, after / before."""

    cpu: Ratio | None = None
    """CPU seconds against those of the ceiling, after / before."""

    machine: Ratio | None = None
    """CPU seconds of the ceiling per sample, after / before: above 1 the machine (or the
    step) was slower."""

    @property
    def smallest_change(self) -> float | None:
        """The change of speed, a fraction, that these runs could just have shown."""
        changes = [figure.smallest_change for figure in (self.rate, self.utilization) if figure]
        return max((change for change in changes if change is not None), default=None)

    @property
    def decided_by_cpu(self) -> bool:
        """Whether the clock cannot tell, and CPU seconds can.

        Those of single processes cannot: the rounds of each agree, and processes differ.
        """
        if self.verdict != NO_CLEAR_DIFFERENCE or self.cpu is None or self.cpu.above is None:
            return False
        return self.cpu.apart


def judge(pair: Pair) -> Change:
    """Judge one pair of cases.

    Args:
        pair: any case. Of a memory case there is one footprint a run, so no verdict: it has too
            few processes.
    """
    if pair.bench == "memory":
        return Change(pair=pair, verdict=REFUSED if pair.refused else TOO_FEW)
    sides = [
        [round_figures(side.case, process.rounds) for process in side.processes]
        for side in (pair.before, pair.after)
    ]
    # Runs with one process per case; a history pools the processes of several of them.
    alone = all(each.number == 1 for s in (pair.before, pair.after) for each in s.processes)
    figures = {
        field: _ratio(*([p[name] for p in side] for side in sides), alone=alone)
        for field, name in _FIGURES.items()
    }
    verdict = _verdict(figures, emulated=pair.bench == "emulated")
    return Change(pair=pair, verdict=REFUSED if pair.refused else verdict, **figures)


def _ratio(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], *, alone: bool
) -> Ratio | None:
    """Compare a figure of two cases, of which each process has the values of its rounds.

    Args:
        before: the processes of one run.
        after: those of the other run.
        alone: whether a case had one process: then rounds are compared, and not processes.
    """
    old, new = (
        [kept for process in side if (kept := [each for each in process if each > 0])]
        for side in (before, after)
    )
    if alone:
        return Ratio.between([*chain(*old)], [*chain(*new)])
    if min(len(old), len(new)) < MIN_PROCESSES:
        return None
    return Ratio.between_processes(map(median, old), map(median, new))


_FIGURES = {
    "rate": "rate",
    "utilization": "utilization",
    "cpu": "cpu_against_ceiling",
    "machine": "ceiling_cpu",
}
"""Field of `Change` -> the figure of a round whose ratio it is."""


def _verdict(figures: Mapping[str, Ratio | None], *, emulated: bool) -> str:
    rate, utilization, machine = (figures[name] for name in ("rate", "utilization", "machine"))
    if rate is None or utilization is None or rate.low is None or utilization.low is None:
        return TOO_FEW
    if not utilization.apart or not rate.moves_with(utilization):
        return NO_CLEAR_DIFFERENCE
    if emulated and machine is not None and machine.apart:
        return NO_CLEAR_DIFFERENCE
    return FASTER if rate.value > 1 else SLOWER


def unjudged(pairs: Pairs, changes: Iterable[Change]) -> dict[str, str]:
    """Return the cases of the first run about which nothing can be said, and why.

    A footprint has no verdict, so memory cases are only those that were refused. Cases that both
    runs skipped, or that failed their audit as expected, are none of them.
    """
    found = dict.fromkeys(pairs.only_before, "missing in the second run")
    for change in changes:
        pair = change.pair
        if change.verdict == REFUSED and not (_expected(pair.before) and _expected(pair.after)):
            found[pair.id] = str(pair.refused)
        elif change.verdict == TOO_FEW and pair.bench != "memory":
            found[pair.id] = TOO_FEW
    return found


def _expected(result: CaseRecord) -> bool:
    """Whether a case gave no figure, and was not to give one."""
    known = case_outcome(result) == "audit_failed" and result.known_failure is not None
    return known or result.outcome == SKIPPED


def slower_by(change: Change, fraction: float) -> bool:
    """Whether a case is slower beyond its intervals, and rate and AU fell by at least a fraction.

    Both: a rate also falls where the machine was slower, however little the AU did.

    Args:
        change: of any verdict.
        fraction: 0.05 is 5%.
    """
    figures = [figure.value for figure in (change.rate, change.utilization) if figure]
    return change.verdict == SLOWER and max(figures) <= 1 - fraction
