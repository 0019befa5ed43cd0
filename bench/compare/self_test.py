"""The self-test of a machine: how often runs of the same code are said to differ.

A run whose cases have many processes is cut into runs of as many passes as a run has by default,
one after another in time, and of more passes as far as it goes. Nothing differs between them but
noise, so every difference that is found is a false one. And a slowdown that is put into their
measured times should be found: the more passes, the smaller it may be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

from keras_loader_bench.bench.compare.change import FASTER, SLOWER, TOO_FEW, judge
from keras_loader_bench.bench.compare.pairs import pair_cases
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.process_record import ProcessRecord, Round
from keras_loader_bench.bench.record.reader import RunFileError
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.statistics import Estimate, ratios

SLOWDOWNS = (0.15, 0.25, 0.5)
"""How much longer the rounds of a loader are made to take."""

PASSES = tuple(Protocol.processes * times for times in (1, 2, 4))
"""Of the runs that a run is cut into."""

Key = tuple[str, str]
"""A backend and a benchmark."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """How often something happened among the times that it could have."""

    count: int
    of: int


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What a self-test found on one backend, in one benchmark."""

    backend: str
    bench: str

    passes: int
    """Of each of the runs."""

    apart: Share
    """Pairs of cases of one run whose ceilings are called apart, though they are the same code."""

    unsound: Share
    """Ceilings that are called different from themselves."""

    changed: Share
    """Cases called faster or slower between two runs of the same code."""

    found: dict[float, Share]
    """Slowdown -> cases called slower where it was put in."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommendations of the runs for one set of options."""

    place: str
    answers: tuple[tuple[str, int], ...]
    """What was recommended, and in how many runs; the most frequent one first."""


def cuts(run: Run) -> list[list[Run]]:
    """Cut a run into runs of the default number of passes, and into longer ones if it has three.

    Raises:
        RunFileError: see `cut`.
    """
    longer = [passes for passes in PASSES[1:] if _passes(run) >= 3 * passes]
    return [cut(run), *(cut(run, passes) for passes in longer)]


def cut(run: Run, processes: int = PASSES[0]) -> list[Run]:
    """Cut a run into runs of so many passes each, in the order of time.

    Args:
        run: one whose timed cases have at least twice as many processes.
        processes: of each timed case of each part; what is left at the end is dropped. Every part
            has all memory cases: they are not timed.

    Raises:
        RunFileError: no timed case has so many processes.
    """
    count = _passes(run) // processes
    if count < 2:
        raise RunFileError(
            f"The timed cases of the run have {_passes(run)} processes; a self-test "
            f"needs {2 * processes} or more: measure with `--processes {6 * processes}`."
        )
    return [_part(run, range(1 + i * processes, 1 + (i + 1) * processes)) for i in range(count)]


def _passes(run: Run) -> int:
    numbers = {each.number for case in run.cases if _timed(case) for each in case.processes}
    return max(numbers, default=0)


def _timed(case: CaseRecord) -> bool:
    return case.case.bench != "memory"


def _part(run: Run, passes: range) -> Run:
    cases = [
        replace(case, processes=[each for each in case.processes if each.number in passes])
        if _timed(case)
        else case
        for case in run.cases
    ]
    return replace(run, cases=cases, protocol=replace(run.protocol, processes=len(passes)))


def self_test(runs: Sequence[Run]) -> list[SelfTest]:
    """Test runs of the same code, what `cut` returns, against each other."""
    keys = {(each.case.backend, each.case.bench): None for each in runs[0].cases if _timed(each)}
    return [
        SelfTest(
            backend=backend,
            bench=bench,
            passes=runs[0].protocol.processes,
            apart=_share(_ceilings_apart(runs, (backend, bench))),
            unsound=_share(_ceilings_unsound(runs, (backend, bench))),
            changed=_share(
                verdict in (FASTER, SLOWER)
                for verdict in _verdicts(combinations(runs, 2), (backend, bench))
            ),
            found={
                slowdown: _share(
                    verdict == SLOWER
                    for verdict in _verdicts(_slowed(runs, slowdown), (backend, bench))
                )
                for slowdown in SLOWDOWNS
            },
        )
        for backend, bench in keys
    ]


def _share(happened: Iterable[bool]) -> Share:
    counts = Counter(happened)
    return Share(count=counts[True], of=counts.total())


def _of(run: Run, key: Key) -> list[CaseRecord]:
    return [each for each in run.cases if (each.case.backend, each.case.bench) == key]


def _ceilings_apart(runs: Sequence[Run], key: Key) -> Iterator[bool]:
    """Compare the rates of the ceiling beside each loader, as those of loaders are compared."""
    for run in runs:
        rates: dict[object, list[Estimate]] = {}
        for case in _of(run, key):
            of_processes = {
                each.number: ratios(
                    [r.timed[0] for r in each.rounds], [r.timed[2] for r in each.rounds]
                )
                for each in case.processes
            }
            options = replace(case.case, loader="", num_workers=0)
            if (found := Estimate.from_processes(of_processes)) is not None:
                rates.setdefault(options, []).append(found)
        for same in rates.values():
            for one, other in combinations(same, 2):
                yield one.apart_from(other)


def _ceilings_unsound(runs: Sequence[Run], key: Key) -> Iterator[bool]:
    for run in runs:
        for each in resolutions(run):
            if (each.case.backend, each.case.bench) == key:
                yield not each.sound


def _verdicts(pairs: Iterable[tuple[Run, Run]], key: Key) -> Iterator[str]:
    for before, after in pairs:
        for pair in pair_cases(before, after).pairs:
            if (pair.before.case.backend, pair.bench) == key and pair.refused is None:
                verdict = judge(pair).verdict
                if verdict != TOO_FEW:
                    yield verdict


def _slowed(runs: Sequence[Run], slowdown: float) -> Iterator[tuple[Run, Run]]:
    slow = [_with_rounds(run, lambda each: _slower(each, 1 + slowdown)) for run in runs]
    for i, j in permutations(range(len(runs)), 2):
        yield runs[i], slow[j]


def _slower(measured: Round, factor: float) -> Round:
    return replace(
        measured,
        seconds=measured.seconds and measured.seconds * factor,
        steady_seconds=measured.steady_seconds and measured.steady_seconds * factor,
    )


def _with_rounds(run: Run, change: Callable[[Round], Round]) -> Run:
    def changed(process: ProcessRecord) -> ProcessRecord:
        return replace(process, rounds=[change(each) for each in process.rounds])

    cases = [
        replace(case, processes=[changed(each) for each in case.processes]) for case in run.cases
    ]
    return replace(run, cases=cases)


def advice(runs: Sequence[Run]) -> list[Advice]:
    """Return what runs of the same code recommend, for each set of options."""
    answers: dict[str, Counter[str]] = {}
    for run in runs:
        for found in recommend(rows_from_run(run)):
            row = found.rows[0]
            place = f"{row.backend}, batch size {row.batch_size}, {row.pixels}"
            chosen = [found.row, *found.equals] if found.row else []
            names = " or ".join(each.label for each in chosen) or "none"
            answers.setdefault(place, Counter())[names] += 1
    return [
        Advice(place=place, answers=tuple(counts.most_common()))
        for place, counts in answers.items()
    ]
