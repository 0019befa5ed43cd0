"""`run.json`: the raw values of one run, rewritten atomically after every case.

Holds nothing derived: reports compute medians, ratios and footprints from it. So a killed run
keeps what it measured, and a report can be made again years later.
Must not know: how anything is measured or shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from keras_loader_bench.bench.record.schema import SCHEMA
from keras_loader_bench.loaders.sources.image_source import ImageSource


class RunFile:
    """Writes one run's `run.json`.

    Args:
        folder: the run's folder; made if it is missing.
        environment: see `bench.sensors.environment.describe`.
        protocol: fields of `bench.plan.case.Protocol`.
        plan: fields of the cases that the run is to have.
        loaders: all there are, measured or not: a plot gives each the same colour in every run.

    Raises:
        ValueError: the folder holds another run already.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: dict[str, Any],
        protocol: dict[str, Any],
        plan: Sequence[dict[str, Any]],
        loaders: Sequence[str] = (),
    ) -> None:
        self.path = folder / "run.json"
        if self.path.exists():
            raise ValueError(
                f"`{folder}` already holds a run; name another --results-dir or remove this one."
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.run: dict[str, Any] = {
            "schema": SCHEMA,
            "status": "running",
            "started_utc": _now(),
            "finished_utc": None,
            "planned_cases": len(plan),
            "plan": list(plan),
            "loaders": list(loaders),
            "protocol": protocol,
            "environment": environment,
            "sources": [],
            "cases": [],
            "probes": [],
        }
        self._write()

    @classmethod
    def reopen(cls, folder: Path, run: dict[str, Any], *, keep: list[dict[str, Any]]) -> Self:
        """Go on with a run; nothing is written until its next case has ended.

        Args:
            folder: the run's folder.
            run: the content of `run.json`.
            keep: those of its records that stay.
        """
        file = cls.__new__(cls)
        file.path = folder / "run.json"
        resumed = [*run.get("resumed_utc", []), _now()]
        file.run = {**run, "status": "running", "finished_utc": None, "cases": keep}
        file.run["resumed_utc"] = resumed
        return file

    def add_source(self, source: ImageSource) -> None:
        """Record what a source is; not where it lies."""
        names = ("name", "split", "edition", "num_samples", "images_sha256", "labels_sha256")
        self.run["sources"].append({name: getattr(source, name) for name in names})

    def add_backend(self, name: str, description: dict[str, str]) -> None:
        """Record what a backend of this run is: its version and its device."""
        self.run["environment"].setdefault("backends", {})[name] = description

    def add_case(self, record: dict[str, Any]) -> None:
        """Record what one case gave and write the file."""
        self.run["cases"].append(record)
        self._write()

    def add_probe(self, record: dict[str, Any]) -> None:
        """Record a case that was no part of the plan: it looked for a breaking point."""
        self.run["probes"].append(record)
        self._write()

    def finish(self, status: str) -> None:
        """Write the end of the run: `complete` or `interrupted`."""
        self.run.update(status=status, finished_utc=_now())
        self._write()

    def _write(self) -> None:
        temporary = self.path.with_suffix(".json.tmp")
        text = json.dumps(_in_nanoseconds(self.run), separators=(",", ":"))
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(self.path)


def new_case_record(
    case_id: str,
    case: dict[str, Any],
    *,
    packages: Sequence[str] = (),
    known_failure: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the record of a case of which nothing is known yet.

    Args:
        case_id: the case's id.
        case: its fields.
        packages: what its loader needs beyond NumPy and Keras with its backend.
        known_failure: `reason` and `link`, where its batches are expected to be wrong.
    """
    return {
        "id": case_id,
        "case": case,
        "packages": list(packages),
        "known_failure": known_failure,
        "device": None,
        "outcome": "interrupted",
        "error": None,
        "rounds": [],
        "time_to_first_batch_s": [],
        "epoch_boundary_s": [],
        "memory": None,
        "device_memory": None,
        "card": None,
        "audit": None,
        "swapped_bytes": None,
        "duration_s": 0.0,
    }


def _in_nanoseconds(value: Any) -> Any:
    """Return a value whose numbers have nine decimals: of seconds, what clocks resolve."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {name: _in_nanoseconds(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_nanoseconds(each) for each in value]
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
