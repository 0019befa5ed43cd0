"""Tries setups in processes of their own, which are ended where a pass hangs or dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any

from keras_loader_bench.loaders.audit.parent import Event, run
from keras_loader_bench.loaders.conformance.cells import Cell, Tried
from keras_loader_bench.loaders.conformance.expected import PASSES, RUNS, Found, expected
from keras_loader_bench.loaders.conformance.setups import KINDS, Setup, starts_slowly
from keras_loader_bench.loaders.conformance.versions import OWN_SINCE
from keras_loader_bench.loaders.registry import LOADERS, missing_package
from keras_loader_bench.loaders.system.text import last_line

CHILD = "keras_loader_bench.loaders.conformance.child"

HANG_S = 60.0
"""A pass that takes longer counts as a hang. The inputs have 10 batches of 4 samples."""

RACES = 3
"""How many times a setup with workers is tried."""

UNDECIDED_RACES = 10
"""How many times it is where some of these runs are right and others are not."""

_IMPORT_S = 180.0


class TrialError(RuntimeError):
    """Nothing could be tried; the message says why."""


def runs_of(setup: Setup) -> int:
    """Return how many times a setup is tried: what depends on threads may go either way."""
    return 1 if setup.workers == "none" or starts_slowly(setup) else RACES


def not_there(kind: str, keras: str, data_dir: str | None) -> str | None:
    """Return why a kind cannot be tried on a version of Keras; `None`: it can."""
    ours = KINDS[kind].own or kind in LOADERS
    if ours and tuple(map(int, keras.split(".")[:2])) < OWN_SINCE:
        return f"this project needs Keras {'.'.join(map(str, OWN_SINCE))}"
    if kind == "CIFAR10Sequence" and data_dir is None:
        return "CIFAR-10 was not found"
    return missing_package(KINDS[kind].packages)


def try_setups(
    setups: Sequence[Setup],
    *,
    backend: str,
    environment: dict[str, str],
    data_dir: str | None = None,
    mends: Sequence[str] = (),
    names: Mapping[Setup, Sequence[str]] | None = None,
    runs: Callable[[Setup], int] = runs_of,
    watch: Callable[[int], None] = lambda done: None,
    tick: Callable[[], None] = lambda: None,
) -> Tried:
    """Try setups on a backend.

    Args:
        setups: the conditions.
        backend: of Keras.
        environment: other variables of the process.
        data_dir: where CIFAR-10 lies, if it does.
        mends: keys of the causes in `causes.KNOWN` whose change of Keras is tried.
        names: passes of each setup; `None`: all.
        runs: how many times a setup is tried; see `UNDECIDED_RACES`.
        watch: called with how many setups are done, whenever one is.
        tick: called several times a second; what it raises ends the process that tries.

    Raises:
        TrialError: Keras cannot be imported, or the process ends before the first pass.
    """
    cells = {
        (number, name): Cell(setup, name)
        for number, setup in enumerate(setups)
        for name in PASSES
        if (names is None or name in names[setup]) and expected(setup, name)
    }
    left = [(number, [n for n in PASSES if (number, n) in cells]) for number in range(len(setups))]
    left = [(number, passes) for number, passes in left if passes]
    about: Event | None = None
    stops: Counter[tuple[int, str]] = Counter()
    while left:
        work = [(setups[number], passes, runs(setups[number])) for number, passes in left]
        ended = _Run(work, cells=[{n: cells[k, n] for n in names} for k, names in left])
        gone = len(setups) - len(left)
        ended.go(
            backend=backend,
            environment=environment,
            settings={
                "data_dir": data_dir,
                "mends": list(mends),
                "import_s": _IMPORT_S,
                "undecided_runs": UNDECIDED_RACES,
            },
            watch=lambda done, gone=gone: watch(gone + done),  # type: ignore[misc]
            tick=tick,
        )
        about = ended.about
        rest = left[ended.done :]
        if not rest:
            break
        (number, passes), *others = rest
        for name in ended.stopped.passes:
            if name in passes:
                cells[number, name].found.append(ended.stopped.found)
                stops[number, name] += 1
        # What has not been tried; and what may be a race, whatever its setup.
        passes = [
            name for name in passes if len(cells[number, name].found) == stops[number, name] < RACES
        ]
        left = [*([(number, passes)] if passes else []), *others]
    assert about is not None
    said = {name: str(about[name]) for name in ("keras", "backend", "version")}
    tried = (cell for cell in cells.values() if cell.found)
    return Tried(**said, cells=tuple(c for c in tried if c.verdict != "not applicable"))


@dataclass(frozen=True)
class _Stopped:
    """Where a process stopped."""

    passes: Sequence[str]
    """Of the call that did not end."""

    found: Found


class _Run:
    """One process.

    Args:
        work: setups, their passes and how many times each is tried.
        cells: for each setup, the cells of its passes, which are filled.
    """

    def __init__(
        self, work: Sequence[tuple[Setup, list[str], int]], *, cells: Sequence[dict[str, Cell]]
    ) -> None:
        self.done = 0
        """Setups whose passes have all been tried."""

        self.about: Event | None = None
        self.stopped = _Stopped((), Found("identical"))
        self._work = work
        self._cells = cells
        self._call = "import"

    def go(
        self,
        *,
        backend: str,
        environment: dict[str, str],
        settings: dict[str, Any],
        watch: Callable[[int], None],
        tick: Callable[[], None],
    ) -> None:
        """Start it and wait for its end.

        Raises:
            TrialError: it has not come as far as to a pass.
        """

        def read(event: Event | None) -> None:
            tick()
            if event is not None:
                self._read(event, watch)

        work = [[asdict(setup), names, runs] for setup, names, runs in self._work]
        variables = {**environment, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        # Files that it makes are gone when it is, even where it is ended.
        with TemporaryDirectory() as folder:
            child = run(
                CHILD,
                {**settings, "work": work},
                environment={**variables, "TMPDIR": folder},
                timeout_s=HANG_S,
                watch=read,
            )
        if child.event("end"):
            return
        if self.about is None or self._call == "import":
            last = last_line(child.log, f"it ended with {child.exit_status}")
            raise TrialError(f"Keras on {backend} could not be tried: {last}")
        passes = next(names for names in RUNS if self._call in names)
        if child.timed_out:
            self.stopped = _Stopped(passes, Found("hang", text=f"after {HANG_S:g} s"))
        else:
            text = f"the process ended with {child.exit_status}"
            self.stopped = _Stopped(passes, Found("error", text=text))

    def _read(self, event: Event, watch: Callable[[int], None]) -> None:
        kind = event["event"]
        if kind == "environment":
            self.about = event
        elif kind == "stage":
            self._call = event["name"]
        elif kind == "cell":
            fields = {name: event[name] for name in asdict(Found("identical"))}
            self._cells[event["work"]][event["pass"]].found.append(Found(**fields))
        elif kind == "done":
            self.done += 1
            watch(self.done)
