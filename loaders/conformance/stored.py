"""The file that keeps a matrix."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.conformance.cells import Cell, how_often
from keras_loader_bench.loaders.conformance.expected import PASSES
from keras_loader_bench.loaders.conformance.problems import Problem
from keras_loader_bench.loaders.conformance.setups import Setup
from keras_loader_bench.loaders.registry import BACKENDS
from keras_loader_bench.loaders.system.drafts import write_whole

FORM = 3
"""Of the file."""

_PLAIN = ("keras", "backend", "version", "date")


class FileError(ValueError):
    """A file holds no matrix; the message says why."""


@dataclass(frozen=True)
class Mark:
    """What a matrix keeps of a cell that is not `identical`."""

    verdict: str
    wrong_runs: int = 1
    runs: int = 1
    missing: int = 0
    repeated: int = 0
    batches: int = 0
    """That should have come."""

    got: int = 0
    text: str = ""

    @property
    def is_race(self) -> bool:
        """Whether some runs were right."""
        return self.wrong_runs < self.runs

    @property
    def how_often(self) -> str:
        """See the function."""
        return how_often(self.wrong_runs, self.runs)

    @classmethod
    def of(cls, cell: Cell) -> Mark:
        """Return that of a cell."""
        worst = cell.worst
        return cls(
            cell.verdict,
            cell.wrong_runs,
            len(cell.found),
            worst.missing,
            worst.repeated,
            worst.expected,
            worst.got,
            worst.text,
        )


Row = dict[str, Mark | None]
"""Name of a pass -> what was wrong; `None`: nothing. Passes that do not apply are left out."""


@dataclass(frozen=True, kw_only=True)
class ProblemRecord:
    """What a matrix keeps of a problem; see `problems.Problem`."""

    setup: Setup
    passes: tuple[str, ...]
    sort: str
    cells: int
    """How many show it."""

    example: Mark
    """That of the plainest of them."""

    @classmethod
    def of(cls, problem: Problem) -> ProblemRecord:
        """Return that of a problem."""
        return cls(
            setup=problem.setup,
            passes=problem.passes,
            sort=problem.sort,
            cells=len(problem.cells),
            example=Mark.of(problem.cells[0]),
        )

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> ProblemRecord:
        """Return one that is read from JSON."""
        known = {"setup": Setup(**raw["setup"]), "example": Mark(**raw["example"])}
        return cls(**{**raw, **known, "passes": tuple(raw["passes"])})


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Keras on one backend."""

    keras: str
    backend: str
    version: str
    """Of the backend."""

    date: str
    """On which it was tried."""

    packages: Mapping[str, str]
    """Name -> version of Python and of packages that inputs come from."""

    rows: Mapping[str, Row]
    """Text of a setup -> its passes."""

    problems: tuple[ProblemRecord, ...]

    left_out: Mapping[str, str]
    """Kind of input -> why it was not tried."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """What was tried."""

    quick: bool
    parts: tuple[Part, ...] = ()
    """The newest Keras first."""

    def plus(self, part: Part) -> Matrix:
        """Return one with a part more, or in the place of one of the same Keras and backend."""
        of = {(each.keras, each.backend): each for each in (*self.parts, part)}
        parts = sorted(of.values(), key=lambda each: BACKENDS.index(each.backend))
        parts.sort(key=lambda each: version_key(each.keras), reverse=True)
        return replace(self, parts=tuple(parts))


def version_key(version: str) -> list[int]:
    """Return what versions are sorted by."""
    return [int(number) for number in re.findall(r"\d+", version)]


def rows_of(cells: Iterable[Cell]) -> dict[str, Row]:
    """Return cells by setup and pass."""
    rows: dict[str, Row] = {}
    for cell in cells:
        wrong = cell.verdict != "identical"
        rows.setdefault(str(cell.setup), {})[cell.name] = Mark.of(cell) if wrong else None
    return rows


def write(matrix: Matrix, path: Path) -> None:
    """Write a file: a line per setup, each pass as 0, `null` or what was wrong.

    Raises:
        WriteError: it could not be written; what was there stays.
    """
    parts = [
        {
            **{name: getattr(part, name) for name in _PLAIN},
            "packages": dict(part.packages),
            "left_out": dict(part.left_out),
            "problems": [asdict(each) for each in part.problems],
            "rows": {text: _row(row) for text, row in part.rows.items()},
        }
        for part in matrix.parts
    ]
    content = {"form": FORM, "quick": matrix.quick, "passes": list(PASSES), "parts": parts}
    write_whole(path, json.dumps(content, indent=1) + "\n")


def _row(row: Row) -> str:
    """Return a row as one string of JSON, so that a file has a line for it."""
    values: list[Any] = []
    for name in PASSES:
        mark = row.get(name)
        values.append(None if name not in row else list(asdict(mark).values()) if mark else 0)
    return json.dumps(values, separators=(",", ":"))


def read(path: Path) -> Matrix:
    """Read a file.

    Raises:
        FileError: it holds no matrix of this form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["form"] != FORM:
            raise FileError(f"`{path}` has form {content['form']}, expected {FORM}.")
        parts = tuple(
            Part(
                **{name: part[name] for name in (*_PLAIN, "packages", "left_out")},
                problems=tuple(map(ProblemRecord.read, part["problems"])),
                rows={text: _marks(json.loads(row)) for text, row in part["rows"].items()},
            )
            for part in content["parts"]
        )
        return Matrix(quick=content["quick"], parts=parts)
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"`{path}` holds no matrix: {type(error).__name__}: {error}") from None


def _marks(values: list[Any]) -> Row:
    pairs = zip(PASSES, values, strict=True)
    return {name: Mark(*each) if each else None for name, each in pairs if each is not None}
