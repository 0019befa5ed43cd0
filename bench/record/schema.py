"""The form of `run.json`."""

from __future__ import annotations

SCHEMA = 5
"""The newest form, which this version writes; older ones are read, see `bench.record.upgrade`."""

IDENTICAL = "identical"
"""The verdict of an audit that found the batches of the reference."""

DIFFERENT = "different"
"""Verdict where batches differ and nothing says how: files of schema 1 know no more."""
