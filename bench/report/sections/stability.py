"""Decides which warnings a report gives about disturbed rounds, and words them.

Modelled on pyperf's warnings (https://pyperf.readthedocs.io/en/latest/analyze.html), over all cases
of a run. Each warning begins with a bold summary; the details and a remedy follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown, code, enumeration
from keras_loader_bench.bench.report.figures.machine_load import BUSY, stolen, used_by_others
from keras_loader_bench.bench.report.figures.resolution import BENCH_NAMES
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import read_throughput, round_figures
from keras_loader_bench.bench.report.sections.device_section import device_disturbances
from keras_loader_bench.bench.report.sections.resolution_section import resolution_warnings
from keras_loader_bench.bench.statistics import MIN_PROCESSES, MIN_ROUNDS

SPREAD = 0.10
"""Standard deviation divided by mean above which rounds are called uneven; pyperf's limit."""

DRIFT = 0.10
"""Change from the first to the last round, by their trend, above which a case drifts."""

DRIFT_CONFIDENCE = 0.99
"""Confidence of a trend. High, because every case of a run is tested."""

STOLEN = 0.02
"""Share of CPU time stolen by the hypervisor above which a report warns."""

SWAPPED_BYTES = 2**20

_NAMED = 4


def run_warnings(run: Run, rows: Sequence[Row]) -> list[Markdown]:
    """Return everything that disturbed a run: its machine, then the GPU of its rows.

    Args:
        run: what `read_run` returned.
        rows: the rows that were not skipped.
    """
    return [*stability_warnings(run), *device_disturbances(rows)]


def stability_warnings(run: Run) -> list[Markdown]:
    """Return one warning per kind of disturbance.

    Args:
        run: what `read_run` returned; older ones tell less.
    """
    timed = {
        case.id: (case, round_figures(case.case, case.rounds)["rate"])
        for case in run.cases
        if case.rounds
    }
    said = [text for say in _WARNINGS for text in say(run, timed)]
    return [*map(Markdown, said), *resolution_warnings(run)]


Timed = Mapping[str, tuple[CaseRecord, list[float]]]
"""The timed cases by id, each with the rates of its rounds."""


def _few(run: Run, timed: Timed) -> Iterator[str]:
    counts = {
        name: (sum(bool(each.rounds) for each in case.processes), len(rates))
        for name, (case, rates) in timed.items()
    }
    few = [
        name
        for name, (processes, rounds) in counts.items()
        if processes < MIN_PROCESSES and (processes > 1 or rounds < MIN_ROUNDS)
    ]
    if few:
        yield (
            f"**Too few processes for an interval in {_cases(few)}**: {_named(few)}. Use "
            f"`--processes {MIN_PROCESSES}` or more, without `--quick`."
        )
    alone = [name for name, (processes, _) in counts.items() if processes == 1 and name not in few]
    if alone:
        which = "Every timed case" if len(alone) == len(timed) else _cases(alone).capitalize()
        yield (
            f"**{which} ran in one process only.** Intervals cover its rounds, and processes "
            f"differ by more. Use `--processes {MIN_PROCESSES}` or more."
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
            f"**Rounds vary by more than {SPREAD:.0%} in {len(wide)} of {len(spreads)} timed "
            f"cases** (standard deviation / mean), most in {code(wide[0])} "
            f"({spreads[wide[0]]:.0%}). Stop other programs, fix the CPU frequency or use more "
            "`--processes`. Intervals of such cases are wide."
        )


def _drift(run: Run, timed: Timed) -> Iterator[str]:
    drifting = {}
    for name, (_, rates) in timed.items():
        change = trend([1 / rate for rate in rates if rate > 0])
        if change is not None and abs(change) > DRIFT:
            drifting[name] = change
    if drifting:
        worst, *others = sorted(drifting, key=lambda name: -abs(drifting[name]))
        how = "slower" if drifting[worst] > 0 else "faster"
        yield (
            f"**Rounds drift by up to {abs(drifting[worst]):.0%} in {_cases(drifting)}**: "
            f"{code(worst)} became steadily {how} from the first to the last round"
            + (f"; also {_named(others)}" if others else "")
            + ". Let the machine warm up or cool down first. AU compares neighbouring rounds, so "
            "it suffers less than rates do."
        )


def trend(values: Sequence[float]) -> float | None:
    """Return the relative growth of values from first to last, if it is significant.

    Uses Mann and Kendall's test and the slope of Theil and Sen; neither assumes a distribution. See
    Helsel and others, Statistical Methods in Water Resources, chapter 12 (USGS 2020).

    Args:
        values: positive values in time order.

    Returns:
        Slope times steps / median; `None` if a trend is not proven.
    """
    if len(values) < MIN_ROUNDS:
        return None
    times = range(len(values))
    if not stats.kendalltau(times, values).pvalue < 1 - DRIFT_CONFIDENCE:  # NaN: all are equal
        return None
    slope = float(stats.theilslopes(values, times)[0])
    return slope * (len(values) - 1) / float(np.median(values))


def _busy(run: Run, timed: Timed) -> Iterator[str]:
    environment = run.environment
    cores = environment.cores_in_all
    load = environment.load_average_1min
    if cores and load is not None and load > cores / 2:
        yield (
            f"**The machine was busy before the run: load average {load:g} on {cores} cores.** "
            "Stop other programs, wait until it is idle, and run again."
        )
    if not cores:
        return
    others = {name: used_by_others(case, cores) for name, (case, _) in timed.items()}
    busy = _above(BUSY, others)
    if busy:
        yield (
            f"**Other processes used up to {others[busy[0]]:.0%} of the cores during "
            f"{_cases(busy)}**: {_named(busy)}. Stop them and run again."
        )
    taken = {name: stolen(case, cores) for name, (case, _) in timed.items()}
    robbed = _above(STOLEN, taken)
    if robbed:
        yield (
            f"**The hypervisor took up to {taken[robbed[0]]:.0%} of CPU time during "
            f"{_cases(robbed)}**: {_named(robbed)}. Other virtual machines share this processor. "
            "Use a dedicated machine or another time, and compare AU rather than rates."
        )


def _beaten(run: Run, timed: Timed) -> Iterator[str]:
    """Name the loaders that were faster than what bounds them."""
    beaten = []
    for case in run.loader_cases:
        figures = read_throughput(case) if case.case.bench in BENCH_NAMES else None
        au = figures and figures.utilization
        if au and au.low is not None and au.low > 1:
            beaten.append(case.id)
    if beaten:
        yield (
            f"**The ceiling was beaten beyond doubt in {_cases(beaten)}**: {_named(beaten)}. No "
            "loader is faster than a batch that is in memory already, so the two met other "
            "conditions: something else ran, or the framework's threads shared the cores in "
            "another way. That the model does not wait is all that such an AU says. Run again on a "
            "quiet machine."
        )


def _quota(run: Run, timed: Timed) -> Iterator[str]:
    quota, cores = run.environment.cpu_quota_cores, run.environment.cores
    if quota and cores and quota < cores:
        yield (
            f"**A CPU quota limits {cores} cores to {quota:g}**: when it is used up, the kernel "
            "pauses all processes for the rest of a period (100 ms), which makes rounds uneven. "
            "Give the container whole cores instead (`--cpuset-cpus` in Docker)."
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
            f"**Up to {cells.mebibytes(max(moved.values()))} MiB were swapped during "
            f"{_cases(moved)}**: {_named(list(moved))}. Free some memory or use fewer `--samples`. "
            "A footprint does not count swapped memory."
        )
    used = run.environment.swap_used_bytes or 0
    if used > SWAPPED_BYTES and not moved:
        yield (
            f"**{cells.mebibytes(used)} MiB of swap were in use before the run**, but nothing was "
            "swapped during it. Free some memory if a loader needs more than is available."
        )


def _above(limit: float, shares: Mapping[str, float]) -> list[str]:
    """Return the names whose share exceeds a limit, the largest first."""
    names = [name for name, share in shares.items() if share > limit]
    return sorted(names, key=lambda name: -shares[name])


def _named(ids: Sequence[str]) -> str:
    """List the first few cases and count the rest."""
    named = [code(name) for name in ids[:_NAMED]]
    more = len(ids) - len(named)
    return enumeration([*named, f"{more} more"] if more else named)


def _cases(found: Collection[str]) -> str:
    return f"{len(found)} case{'s' if len(found) > 1 else ''}"


_WARNINGS = (_few, _spread, _drift, _busy, _beaten, _quota, _swap)
