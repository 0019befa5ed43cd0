"""`run.json`: the raw values of one run, rewritten atomically after every case.

Holds nothing derived: reports compute medians, ratios and footprints from it. So a killed run
keeps what it measured, and a report can be made again years later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import METHOD, Protocol
from keras_loader_bench.bench.record.drafts import (
    remove_abandoned_drafts,
    write_whole,
    writing_to,
)
from keras_loader_bench.bench.record.environment_record import BackendRecord, Environment
from keras_loader_bench.bench.record.round_tables import to_tables
from keras_loader_bench.bench.record.run_path import run_path
from keras_loader_bench.bench.record.schema import CaseRecord, ContainerRecord, Run, SourceRecord
from keras_loader_bench.bench.record.shared_audits import name_audits
from keras_loader_bench.loaders.encoded.known_images import StoredSource
from keras_loader_bench.loaders.registry import LoaderEntry


class RunFile:
    """Writes one run's `run.json`.

    Args:
        folder: the run's folder; made if it is missing.
        environment: see `bench.sensors.environment.describe`.
        protocol: how cases are measured.
        plan: the cases that the run is to have.
        loaders: the registry.

    Raises:
        ValueError: the folder holds another run already.
        WriteError: it cannot be written to; like every method that writes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Environment,
        protocol: Protocol,
        plan: Iterable[Case],
        loaders: Mapping[str, LoaderEntry],
    ) -> None:
        self.path = folder / "run.json"
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            there = run_path(folder).exists()
        if there:
            raise ValueError(
                f"`{folder}` already holds a run; name another --results-dir or remove this one."
            )
        remove_abandoned_drafts(folder.parent)
        planned = list(plan)
        self.run = Run(
            status="running",
            method=METHOD,
            started_utc=_now(),
            planned_cases=len(planned),
            plan=planned,
            loaders=list(loaders),
            own_loaders=[name for name, entry in loaders.items() if entry.own],
            protocol=protocol,
            environment=environment,
            sources=[],
            cases=[],
            probes=[],
        )
        self._write()

    @classmethod
    def reopen(cls, folder: Path, run: Run, *, keep: list[CaseRecord]) -> Self:
        """Go on with a run; nothing is written until its next case has ended.

        Args:
            folder: the run's folder.
            run: what `read_run` returned.
            keep: those of its records that stay.
        """
        file = cls.__new__(cls)
        file.path = folder / "run.json"
        resumed = [*run.resumed_utc, _now()]
        file.run = replace(
            run, status="running", finished_utc=None, cases=keep, resumed_utc=resumed
        )
        return file

    def add_source(
        self,
        source: StoredSource,
        containers: Sequence[ContainerRecord] = (),
        *,
        image_quality: int = 0,
    ) -> None:
        """Record what a source is; not where it lies."""
        names = ("name", "split", "edition", "num_samples", "images_sha256", "labels_sha256")
        record = SourceRecord(
            **{name: getattr(source, name) for name in names},
            bytes_per_sample=getattr(source, "bytes_per_sample", None),
            containers=list(containers),
            image_quality=image_quality,
        )
        self.run.sources.append(record)

    def add_backend(self, name: str, backend: BackendRecord) -> None:
        """Record what a backend of this run is."""
        self.run.environment.backends[name] = backend

    def save(self, record: CaseRecord, *, planned: bool = True) -> None:
        """Write the file, with what a case gave so far.

        Args:
            record: of the case; it may get more processes and be saved again.
            planned: whether it is a case of the plan; otherwise it looked for a breaking point.
        """
        records = self.run.cases if planned else self.run.probes
        if not any(each is record for each in records):
            records.append(record)
        self._write()

    def finish(self, status: str) -> None:
        """Write the end of the run: `complete` or `interrupted`."""
        self.run.status, self.run.finished_utc = status, _now()
        self._write()

    def _write(self) -> None:
        text = json.dumps(to_tables(name_audits(_plain(asdict(self.run)))), separators=(",", ":"))
        write_whole(self.path, text + "\n")


def _plain(value: Any) -> Any:
    """Return a value as the file has it.

    Numbers have nine decimals: of seconds, what clocks resolve. What is not known is left out.
    """
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
