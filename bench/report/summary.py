"""Makes tidy tables with a line per row (`summary`), step (`emulated`) and round (`rounds`).

All figures are in SI base units and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from keras_loader_bench.bench.plan.options import ROW_OPTIONS
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report.figures.device_figures import DeviceUse
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput, measured_rounds
from keras_loader_bench.bench.slope import Slope
from keras_loader_bench.bench.statistics import Estimate

TABLES = ("summary", "emulated", "rounds")

_BYTES = (
    "footprint_bytes",
    "anon_bytes",
    "shmem_bytes",
    "page_cache_bytes",
    "unseen_bytes",
    "left_bytes",
    "baseline_bytes",
    "budget_bytes",
)
_THROUGHPUT = {
    "samples_per_s": "rate",
    "accelerator_utilization": "utilization",
    "data_stall": "data_stall",
    "cpu_s_per_1000_samples": "cpu_s_per_1000_samples",
    "time_to_first_batch_s": "time_to_first_batch_s",
    "epoch_boundary_s": "epoch_boundary_s",
    "resident_before": "resident_before",
    "read_bytes_per_sample": "read_bytes_per_sample",
}


def tables(run: Run, rows: Sequence[Row]) -> dict[str, pd.DataFrame]:
    """Return the tables of a run.

    Args:
        run: what `read_run` returned.
        rows: what `rows_from_run` made of it.

    Returns:
        Name -> table; without those in which nothing would stand, but always `summary`.
    """
    found = {
        "summary": summary_frame(rows),
        "emulated": emulated_frame(rows),
        "rounds": rounds_frame(run),
    }
    return {name: frame for name, frame in found.items() if frame is not None}


def write_tables(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write tables as CSV and, where `pyarrow` is installed, as Parquet.

    Args:
        frames: name of a file -> table.
        folder: where the files go.
    """
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
        if find_spec("pyarrow") is not None:
            frame.to_parquet(folder / f"{name}.parquet", index=False)


def rounds_frame(run: Run) -> pd.DataFrame | None:
    """Return one line for each round of each timed case; `None` without any.

    Returns:
        The case's id, its options, `round` from 1, `samples`, `seconds`, `ceiling_seconds`,
        `cpu_seconds`, `ceiling_cpu_seconds`, and `samples_per_s` and `accelerator_utilization`.
    """
    records = [
        {
            "id": result.id,
            **{
                name: getattr(result.case, name)
                for name in ("bench", *ROW_OPTIONS, "step_ms", "step_cpu")
            },
            "round": number,
            **measured,
        }
        for result in run.cases
        for number, measured in enumerate(measured_rounds(result), start=1)
    ]
    return pd.DataFrame(records) if records else None


def summary_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line for each row and one column for each figure.

    Figures of cases that ended badly are kept, as far as they go; `*_outcome` and `identical`
    say which ones to leave out of a comparison. What was not measured is empty.

    Args:
        rows: the result of `rows_from_run`.

    Returns:
        Medians under the name of the figure, their 95% intervals under `*_low` and `*_high`.
    """
    template = _record(Row(backend="", loader="", batch_size=0, pixels="uint8", samples=0))
    frame = pd.DataFrame([_record(row) for row in rows], columns=list(template))
    whole = [name for name in frame.columns if name.endswith(("bytes", "_rounds"))]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def emulated_frame(rows: Iterable[Row]) -> pd.DataFrame | None:
    """Return one line for each row and emulated step; `None` if no step was emulated.

    Args:
        rows: the result of `rows_from_run`.

    Returns:
        `step_ms`, `step_cpu`, how the case ended, and the same figures as in the summary.
    """
    records = [
        {
            **{name: getattr(row, name) for name in ROW_OPTIONS},
            "step_ms": step.step_ms,
            "step_cpu": step.busy,
            "identical": row.identical,
            **_throughput("", step.case),
        }
        for row in rows
        for step in row.emulated
    ]
    return pd.DataFrame(records) if records else None


def _record(row: Row) -> dict[str, Any]:
    record = {name: getattr(row, name) for name in ROW_OPTIONS}
    record["identical"], record["verdict"] = row.identical, row.verdict
    record["known_failure"], record["digest"] = row.known_failure is not None, row.digest
    for bench, case in (("feed_", row.feed), ("train_", row.train)):
        record |= _throughput(bench, case) | _device(bench, case)
    for name in ("outcome", "metric", "enforcement"):
        record[f"memory_{name}"] = getattr(row.memory, name, None)
    growth: Slope | None = getattr(row.memory, "growth", None)
    record["growth_bytes_per_round"] = getattr(growth, "value", None)
    record["growth_bytes_per_round_low"] = getattr(growth, "low", None)
    record["growth_bytes_per_round_high"] = getattr(growth, "high", None)
    return record | {name: getattr(row.memory, name, None) for name in _BYTES}


def _throughput(prefix: str, measured: Throughput | None) -> dict[str, Any]:
    rate = getattr(measured, "rate", None)
    record = {
        f"{prefix}outcome": getattr(measured, "outcome", None),
        f"{prefix}rounds": getattr(rate, "n", None),
    }
    for name, attribute in _THROUGHPUT.items():
        record |= _estimate(f"{prefix}{name}", getattr(measured, attribute, None))
    return record


def _device(prefix: str, measured: Throughput | None) -> dict[str, Any]:
    use: DeviceUse | None = getattr(measured, "device_use", None)
    record = {
        f"{prefix}peak_device_bytes": getattr(use, "peak_bytes", None),
        f"{prefix}card_over_idle_bytes": getattr(use, "over_idle_bytes", None),
        f"{prefix}card_throttled": bool(use.throttled) if use else None,
    }
    energy: Estimate | None = getattr(use, "joules_per_1000_samples", None)
    return record | _estimate(f"{prefix}energy_j_per_1000_samples", energy)


def _estimate(name: str, figure: Estimate | None) -> dict[str, Any]:
    return {
        name: getattr(figure, "median", None),
        f"{name}_low": getattr(figure, "low", None),
        f"{name}_high": getattr(figure, "high", None),
    }
