"""The section of a report on several ranks: each loader by how many processes it feeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.record.process_record import ProcessRecord, RankRecord
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures import read_throughput, round_figures
from keras_loader_bench.bench.report.row_options import describe
from keras_loader_bench.bench.report.rows import row_label
from keras_loader_bench.bench.report.table import Table
from keras_loader_bench.bench.statistics import Estimate

WHAT = (
    "Each rank is a process with a loader of its own, which delivers its share of every global "
    "batch. All ranks: samples of all of them / seconds of the slowest. Efficiency: that rate / "
    "(ranks x the rate of one rank), from the same pass over the run. Slowest / fastest: seconds "
    "of a round on the slowest rank / on the fastest. AU: the slowest ceiling's round / the "
    "slowest loader's. First batch: of the rank that waits longest. All ranks share this machine's "
    "{cores} cores. In training, the gradients of all ranks are averaged in every step: on JAX by "
    "keras.distribution, on torch by DistributedDataParallel. Elsewhere nothing is exchanged."
)
"""Stands above the first table."""

_BENCHES = {"feed": "feed rates", "emulated": "emulated steps", "train": "training"}


def ranks_tables(run: Run) -> list[Table]:
    """Return a table per benchmark and set of options; none where no case has several ranks."""
    groups: dict[str, list[CaseRecord]] = {}
    for result in run.loader_cases:
        case = result.case
        if case.bench in _BENCHES:
            step = f", steps of {case.step_ms:g} ms" if case.step_ms is not None else ""
            options = describe(case, without=["ranks", "samples"])
            groups.setdefault(f"{_BENCHES[case.bench]} with {options}{step}", []).append(result)
    shown = {
        options: results
        for options, results in groups.items()
        if any(result.case.ranks > 1 for result in results)
    }
    what = WHAT.format(cores=run.environment.cores or "")
    return [
        Table(text=f"{options[:1].upper()}{options[1:]}. {what * (not i)}".strip(), lines=_lines(r))
        for i, (options, r) in enumerate(shown.items())
    ]


def _lines(results: Sequence[CaseRecord]) -> list[list[str]]:
    headings = ["loader", "ranks", "all ranks (samples/s)", "efficiency", "slowest / fastest"]
    headings += ["AU", "first batch (ms)", "batches identical"]
    weights = any(result.case.trains_together for result in results)
    headings += ["same weights"] * weights
    alone = {_name(each): each for each in results if each.case.ranks == 1}
    lines = [headings]
    for result in sorted(results, key=lambda each: (_name(each), each.case.ranks)):
        figures = read_throughput(result)
        one = alone.get(_name(result)) if result.case.ranks > 1 else None
        first = figures.time_to_first_batch_s if figures else None
        lines.append(
            [
                cells.code(_name(result)),
                str(result.case.ranks),
                cells.interval(figures.rate if figures else None, cells.rate),
                cells.interval(efficiency(one, result), cells.fraction) if one else "-",
                cells.interval(spread(result), cells.fraction) if result.case.ranks > 1 else "-",
                cells.interval(figures.utilization if figures else None, cells.fraction),
                cells.median(first, cells.milliseconds),
                _identical(result),
                *[_weights(result)] * weights,
            ]
        )
    return lines


def _name(result: CaseRecord) -> str:
    return row_label(result.case.loader, result.case.num_workers)


def _identical(result: CaseRecord) -> str:
    if result.audit is None:
        return cells.NOT_RUN if result.case.loader != CEILING else "-"
    return "yes" if result.audit.identical else "**no**"


def _weights(result: CaseRecord) -> str:
    """Say whether all ranks had the same weights after the rounds, in every process."""
    found = {p.same_weights for p in result.processes if p.same_weights is not None}
    return "-" if not found else "yes" if found == {True} else "**no**"


def efficiency(one: CaseRecord, several: CaseRecord) -> Estimate | None:
    """Return the rate of several ranks / as many times that of one, from processes of one pass."""
    single, together = (
        {
            process.number: median(rates)
            for process in each.processes
            if (rates := round_figures(each.case, process.rounds)["rate"])
        }
        for each in (one, several)
    )
    ranks = several.case.ranks
    shares = {n: [together[n] / (ranks * single[n])] for n in single.keys() & together.keys()}
    return Estimate.from_processes(shares)


def spread(result: CaseRecord) -> Estimate | None:
    """Return the seconds of the slowest rank / of the fastest, of each round."""
    return Estimate.from_processes({p.number: _spreads(p) for p in result.processes})


def _spreads(process: ProcessRecord) -> list[float]:
    found = []
    for rounds in zip(*(_seconds(rank) for rank in process.ranks), strict=True):
        known = [seconds for seconds in rounds if seconds]
        if len(known) == len(rounds) and known:
            found.append(max(known) / min(known))
    return found


def _seconds(rank: RankRecord) -> list[float | None]:
    return [each.seconds for each in rank.rounds]
