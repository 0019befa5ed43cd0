"""How far the machine let the rounds be trusted: what disturbed them, and what to do about it.

In the manner of pyperf's warnings (https://pyperf.readthedocs.io/en/latest/analyze.html), over all
cases of a run. Owns: when a warning is given. Must not know: rows, loaders, files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from keras_loader_bench.bench.record.process_record import Round
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown, code, enumeration
from keras_loader_bench.bench.report.figures import round_figures
from keras_loader_bench.bench.statistics import MIN_ROUNDS

SPREAD = 0.10
"""Standard deviation of rounds / their mean, from which on they are called unsteady; pyperf's."""

DRIFT = 0.10
"""Change from the first to the last round, as far as it is a trend, from which on it is told."""

DRIFT_CONFIDENCE = 0.99
"""That a trend is none by chance: many cases are looked at."""

BUSY = 0.10
"""Share of the cores that others keep busy, from which on a machine is called so."""

STOLEN = 0.02
"""Share of the time in which a hypervisor let the machine wait, from which on it is told."""

SWAPPED_BYTES = 2**20

_NAMED = 4


def stability_warnings(run: Run) -> list[Markdown]:
    """Return what disturbed a run, and what to do about each: sentences.

    Args:
        run: what `read_run` returned; older ones tell less.
    """
    timed = {
        case.id: (case, round_figures(case.case, case.rounds)["rate"])
        for case in run.cases
        if case.rounds
    }
    return [Markdown(text) for say in _WARNINGS for text in say(run, timed)]


Timed = Mapping[str, tuple[CaseRecord, list[float]]]
"""Id of a timed case -> the case, and the rate of each of its rounds."""


def _few(run: Run, timed: Timed) -> Iterator[str]:
    few = [name for name, (_, rates) in timed.items() if len(rates) < MIN_ROUNDS]
    if few:
        yield (
            f"**Too few rounds** for an interval ({MIN_ROUNDS} at least) in {_named(few)}: give "
            f"`--rounds {MIN_ROUNDS}` or more, and leave `--quick` away."
        )


def _spread(run: Run, timed: Timed) -> Iterator[str]:
    spreads = {
        name: float(np.std(rates, ddof=1) / np.mean(rates))
        for name, (_, rates) in timed.items()
        if len(rates) >= MIN_ROUNDS
    }
    wide = _above(SPREAD, spreads)
    if wide:
        yield (
            f"**Rounds are spread** by more than {SPREAD:.0%} (standard deviation / mean) in "
            f"{len(wide)} of {len(spreads)} timed cases, most in {code(wide[0])} "
            f"({spreads[wide[0]]:.0%}): end what else runs, fix the clock of the CPU, or give more "
            "`--rounds`. The intervals hold all the same; they are wide."
        )


def _drift(run: Run, timed: Timed) -> Iterator[str]:
    drifting = {}
    for name, (_, rates) in timed.items():
        change = trend([1 / rate for rate in rates if rate > 0])
        if change is not None and abs(change) > DRIFT:
            drifting[name] = change
    if drifting:
        worst = max(drifting, key=lambda name: abs(drifting[name]))
        how = "slower" if drifting[worst] > 0 else "faster"
        yield (
            f"**Rounds drift**: {_named(list(drifting))} became steadily slower or faster, "
            f"{code(worst)} {abs(drifting[worst]):.0%} {how} from first to last. Let the machine "
            "cool or warm up first; AU compares neighbouring rounds and stands this better than "
            "rates do."
        )


def trend(values: Sequence[float]) -> float | None:
    """Return by which share values grew from first to last, where that is no chance.

    Mann and Kendall's test for a trend, with the slope of Theil and Sen: neither assumes a
    distribution. Helsel and others: Statistical Methods in Water Resources, chapter 12 (USGS 2020).

    Args:
        values: positive, in the order of time.

    Returns:
        Slope times steps / median; `None` where a trend is not proven.
    """
    if len(values) < MIN_ROUNDS:
        return None
    times = range(len(values))
    if not stats.kendalltau(times, values).pvalue < 1 - DRIFT_CONFIDENCE:  # NaN: all alike
        return None
    slope = float(stats.theilslopes(values, times)[0])
    return slope * (len(values) - 1) / float(np.median(values))


def _busy(run: Run, timed: Timed) -> Iterator[str]:
    environment = run.environment
    cores = environment.cores
    load = environment.load_average_1min
    if cores and load is not None and load > cores / 2:
        yield (
            f"**The machine was busy** before the run began: load average {load:g} on {cores} "
            "cores. End what runs on it, wait until it is idle, and run again."
        )
    if not cores:
        return
    others = {name: _others(case, cores) for name, (case, _) in timed.items()}
    busy = _above(BUSY, others)
    if busy:
        yield (
            f"**Other processes** used more than {BUSY:.0%} of the cores beside {_named(busy)} "
            f"({others[busy[0]]:.0%} at most): end them and run again."
        )
    stolen = {name: _stolen(case, cores) for name, (case, _) in timed.items()}
    robbed = _above(STOLEN, stolen)
    if robbed:
        yield (
            f"**The hypervisor took** more than {STOLEN:.0%} of the cores' time beside "
            f"{_named(robbed)} ({stolen[robbed[0]]:.0%} at most): other machines share this "
            "processor. Run on one of your own, or at another time; compare AU before rates."
        )


def _others(case: CaseRecord, cores: int) -> float:
    """Return the share of the cores that others used in a case's rounds; 0 where unknown."""
    return _share(case, cores, _used_by_others)


def _stolen(case: CaseRecord, cores: int) -> float:
    return _share(case, cores, lambda measured: measured.machine_stolen_cpu_seconds)


def _used_by_others(measured: Round) -> float | None:
    busy, own = measured.machine_busy_cpu_seconds, measured.cpu_seconds
    return None if busy is None or own is None else busy - own


def _share(case: CaseRecord, cores: int, seconds: Callable[[Round], float | None]) -> float:
    used = there = 0.0
    for measured in case.rounds:
        of_round = seconds(measured)
        if of_round is None or measured.seconds is None:
            return 0.0  # an older run, or a round that was cut short
        used += of_round
        there += measured.seconds * cores
    return max(0.0, used / there) if there > 0 else 0.0


def _quota(run: Run, timed: Timed) -> Iterator[str]:
    quota, cores = run.environment.cpu_quota_cores, run.environment.cores
    if quota and cores and quota < cores:
        yield (
            f"**A CPU quota** of {quota:g} cores held for {cores} cores: the kernel stops "
            "everything for the rest of a period (100 ms) when it is used up, which makes rounds "
            "uneven. Give the container whole cores (`--cpuset-cpus` in Docker) instead."
        )


def _swap(run: Run, timed: Timed) -> Iterator[str]:
    moved = {
        case.id: swapped
        for case in run.cases
        if (swapped := max((p.swapped_bytes or 0 for p in case.processes), default=0))
        > SWAPPED_BYTES
    }
    if moved:
        yield (
            f"**Memory was swapped** beside {_named(list(moved))} "
            f"({cells.mebibytes(max(moved.values()))} MiB at most): free memory, or measure fewer "
            "`--samples`. What is in swap counts for no footprint."
        )
    used = run.environment.swap_used_bytes or 0
    if used > SWAPPED_BYTES and not moved:
        yield (
            f"**Swap was in use** when the run began ({cells.mebibytes(used)} MiB), though nothing "
            "was moved meanwhile: free memory if a loader is larger than what is free."
        )


def _above(limit: float, shares: Mapping[str, float]) -> list[str]:
    """Return the names whose share is above a limit, the largest first."""
    names = [name for name, share in shares.items() if share > limit]
    return sorted(names, key=lambda name: -shares[name])


def _named(ids: Sequence[str]) -> str:
    """Name the first few cases, and count the rest."""
    named = [code(name) for name in ids[:_NAMED]]
    more = len(ids) - len(named)
    return enumeration([*named, f"{more} more"] if more else named)


_WARNINGS = (_few, _spread, _drift, _busy, _quota, _swap)
