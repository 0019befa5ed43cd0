"""The form of `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RunRecord = Mapping[str, Any]
"""The content of `run.json`, checked and brought to the newest form by `read_run`."""

SCHEMA = 5
"""The newest form, which this version writes; older ones are read, see `bench.record.upgrade`."""

IDENTICAL = "identical"
"""The verdict of an audit that found the batches of the reference."""

DIFFERENT = "different"
"""Verdict where batches differ and nothing says how: files of schema 1 know no more."""
