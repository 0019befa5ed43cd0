"""`summary.csv`: every figure of every row, for other programs.

Owns: the columns, in SI base units and bytes. Must not know: how figures are written in a report.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.report.figures import Throughput
from bench.report.rows import Row
from bench.statistics import Estimate, Slope

_KEY = ("backend", "loader", "num_workers", "batch_size", "pixels", "samples")
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
}


def summary_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line for each row and one column for each figure.

    Figures of cases that ended badly are kept, as far as they go; `*_outcome` and `identical`
    say which ones to leave out of a comparison. What was not measured is empty.

    Args:
        rows: what `rows_from_run` returned.

    Returns:
        Medians under the name of the figure, their 95% intervals under `*_low` and `*_high`.
    """
    template = _record(Row(backend="", loader="", batch_size=0, pixels="", samples=0))
    frame = pd.DataFrame([_record(row) for row in rows], columns=list(template))
    whole = [name for name in frame.columns if name.endswith(("bytes", "_rounds"))]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _record(row: Row) -> dict[str, Any]:
    record = {name: getattr(row, name) for name in _KEY}
    record["identical"], record["verdict"] = row.identical, row.verdict
    record["known_failure"], record["digest"] = row.known_failure is not None, row.digest
    record |= _throughput("feed", row.feed) | _throughput("train", row.train)
    for name in ("outcome", "metric", "enforcement"):
        record[f"memory_{name}"] = getattr(row.memory, name, None)
    growth: Slope | None = getattr(row.memory, "growth", None)
    record["growth_bytes_per_round"] = getattr(growth, "value", None)
    record["growth_bytes_per_round_low"] = getattr(growth, "low", None)
    record["growth_bytes_per_round_high"] = getattr(growth, "high", None)
    return record | {name: getattr(row.memory, name, None) for name in _BYTES}


def _throughput(bench: str, measured: Throughput | None) -> dict[str, Any]:
    rate = getattr(measured, "rate", None)
    record = {
        f"{bench}_outcome": getattr(measured, "outcome", None),
        f"{bench}_rounds": getattr(rate, "n", None),
    }
    for name, attribute in _THROUGHPUT.items():
        figure: Estimate | None = getattr(measured, attribute, None)
        record[f"{bench}_{name}"] = getattr(figure, "median", None)
        record[f"{bench}_{name}_low"] = getattr(figure, "low", None)
        record[f"{bench}_{name}_high"] = getattr(figure, "high", None)
    return record
