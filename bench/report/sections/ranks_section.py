"""The section of a report on several ranks: each loader by how many processes it feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.record.process_record import ProcessRecord, RankRecord
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.memory_figures import Memory, read_memory
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import row_label
from keras_loader_bench.bench.report.figures.throughput import read_throughput, round_figures
from keras_loader_bench.bench.report.sections.memory_section import footprint
from keras_loader_bench.bench.report.sections.table import Table
from keras_loader_bench.bench.statistics import Estimate

WHAT = (
    "Each rank is a process with a loader of its own, which delivers its share of every global "
    "batch. All ranks: samples of all of them / seconds of the slowest. Efficiency: that rate / "
    "(ranks x the rate of one rank), from the same pass over the run. Slowest / fastest: seconds "
    "of a round on the slowest rank / on the fastest. AU: the slowest ceiling's round / the "
    "slowest loader's. First batch: of the rank that waits longest. {where} In training, the "
    "gradients of all ranks are averaged in every step: on JAX by keras.distribution, on torch by "
    "DistributedDataParallel. Elsewhere nothing is exchanged. Read from disk: by all ranks, for "
    "whom pages in memory are the same; most of one rank: its share of that. Memory: the footprint "
    "of the processes of all ranks; pages that they share count once."
)
"""Stands above the first table."""

_STARTED = {"local": "", "ray": "Ray started them.", "env": "They were started from outside."}
"""Launcher -> what is said of it."""

_OWN = ("ranks", "model", "page_cache")
"""Options that a case and the memory case beside it need not share; memory has no cold cases."""

_BENCHES = {"feed": "feed rates", "emulated": "emulated steps", "train": "training"}


def ranks_tables(run: Run) -> list[Table]:
    """Return a table per benchmark and set of options; none where no case has several ranks."""
    unsaid = {"samples"} - {*differing(each.case for each in run.loader_cases)}
    groups: dict[str, list[CaseRecord]] = {}
    for result in sorted(run.loader_cases, key=_place):
        case = result.case
        if case.bench in _BENCHES:
            step = f", steps of {case.step_ms:g} ms" if case.step_ms is not None else ""
            options = describe(case, without=["ranks", *unsaid])
            groups.setdefault(f"{_BENCHES[case.bench]} with {options}{step}", []).append(result)
    shown = {
        options: results
        for options, results in groups.items()
        if any(result.case.ranks > 1 for result in results)
    }
    memories = {
        (describe(each.case, without=_OWN), _name(each), each.case.ranks): read_memory(each)
        for each in run.loader_cases
        if each.case.bench == "memory"
    }
    what = f"{WHAT.format(where=_where(run))} {_together(run)}"
    return [
        Table(
            text=f"{options[:1].upper()}{options[1:]}. {what * (not i)}".strip(),
            lines=_lines(results, memories),
        )
        for i, (options, results) in enumerate(shown.items())
    ]


def _place(result: CaseRecord) -> tuple[str, str, float]:
    """Return what puts a case's table in its place."""
    case = result.case
    return case.backend, case.bench, case.step_ms or 0


def _where(run: Run) -> str:
    """Say how many machines the ranks ran on, and who started them."""
    processes = [process for result in run.loader_cases for process in result.processes]
    ranks = [rank for process in processes for rank in process.ranks]
    machines = 1 + max((rank.machine or 0 for rank in ranks), default=0)
    cores = f"{run.environment.cores or ''} cores".strip()
    where = f"All ranks share this machine's {cores}."
    if machines > 1:
        where = f"Ranks ran on {machines} machines, rank 0 on this one, which has {cores}."
    return f"{where} {_STARTED[run.protocol.launcher]}".strip()


def _together(run: Run) -> str:
    """Say what all ranks of a case are given together, where batches are what they should be."""
    texts = []
    for result in run.loader_cases:
        if (audit := result.audit) is None or (union := audit.union) is None:
            continue
        least, most = min(union.steps), max(union.steps)
        steps = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        once = "once" if not union.again else f"and {union.again:,} again"
        left = f", but for {union.missing:,} that come on none" if union.missing else ""
        texts.append(
            f"Where batches are identical, {result.case.ranks} ranks with batches of "
            f"{result.case.batch_size} are given each of {union.samples:,} samples {once}{left}, "
            f"in {steps} steps each ({union.epochs} epochs were looked at)."
        )
    return " ".join(dict.fromkeys(texts))


def _lines(
    results: Sequence[CaseRecord], memories: Mapping[tuple[str, str, int], Memory | None]
) -> list[list[str]]:
    headings = ["loader", "ranks", "global batch", "all ranks (samples/s)", "efficiency"]
    headings += ["slowest / fastest", "AU", "first batch (ms)", "batches identical"]
    weights = any(result.case.trains_together for result in results)
    headings += ["same weights"] * weights
    cold = any(result.case.page_cache == "cold" for result in results)
    headings += ["read from disk (KiB per sample)", "most of one rank"] * cold
    headings += ["memory (MiB)"] * bool(memories)
    alone = {_name(each): each for each in results if each.case.ranks == 1}
    lines = [headings]
    for result in sorted(results, key=lambda each: (_name(each), each.case.ranks)):
        figures = read_throughput(result)
        one = alone.get(_name(result)) if result.case.ranks > 1 else None
        first = figures.time_to_first_batch_s if figures else None
        read = figures.read_bytes_per_sample if figures else None
        lines.append(
            [
                cells.code(_name(result)),
                str(result.case.ranks),
                f"{result.case.ranks * result.case.batch_size:,}",
                cells.measured(figures, lambda each: cells.interval(each.rate, cells.rate)),
                cells.interval(efficiency(one, result), cells.fraction) if one else "-",
                cells.interval(spread(result), cells.fraction) if result.case.ranks > 1 else "-",
                cells.interval(figures.utilization if figures else None, cells.fraction),
                cells.median(first, cells.milliseconds),
                _identical(result),
                *[_weights(result)] * weights,
                *[
                    cells.interval(read, cells.kibibytes),
                    cells.interval(largest_read(result), cells.fraction) if one else "-",
                ]
                * cold,
                *[cells.measured(_memory(result, memories), footprint)] * bool(memories),
            ]
        )
    return lines


def _name(result: CaseRecord) -> str:
    return row_label(result.case.loader, result.case.num_workers)


def _memory(
    result: CaseRecord, memories: Mapping[tuple[str, str, int], Memory | None]
) -> Memory | None:
    case = result.case
    return memories.get((describe(case, without=_OWN), _name(result), case.ranks))


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


def largest_read(result: CaseRecord) -> Estimate | None:
    """Return the share of what was read from disk that the rank with the most read."""
    return Estimate.from_processes({p.number: _largest_reads(p) for p in result.processes})


def _largest_reads(process: ProcessRecord) -> list[float]:
    rounds = zip(*([each.read_bytes or 0 for each in r.rounds] for r in process.ranks), strict=True)
    return [max(read) / sum(read) for read in rounds if sum(read)]


def _spreads(process: ProcessRecord) -> list[float]:
    found = []
    for rounds in zip(*(_seconds(rank) for rank in process.ranks), strict=True):
        known = [seconds for seconds in rounds if seconds]
        if len(known) == len(rounds) and known:
            found.append(max(known) / min(known))
    return found


def _seconds(rank: RankRecord) -> list[float | None]:
    return [each.seconds for each in rank.rounds]
