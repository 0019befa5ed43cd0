"""Refuses what other plugins of pytest offer and would be wrong in a benchmark of this suite."""

from __future__ import annotations

import os

import pytest


def check_plugins(config: pytest.Config) -> None:
    """Check the options of pytest-benchmark and pytest-xdist.

    Raises:
        ValueError: nothing could be measured, or not as it should be; the message has the remedy.
    """
    get = config.getoption
    if get("dist", "no") != "no":
        raise ValueError(
            "Cases are measured one at a time, or they would disturb each other; remove `-n` and "
            "other options of pytest-xdist."
        )
    # Of a test that started this pytest: pytest-benchmark would take this for a worker as well.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    # Rounds are calibrated to last equally long, so the seconds of two runs say nothing.
    if get("benchmark_compare") or get("benchmark_compare_fail"):
        raise ValueError(
            "`--benchmark-compare` compares the seconds of rounds, which deliver different numbers "
            "of samples; use `keras-loader-bench compare BEFORE AFTER` with two run folders."
        )
    if get("dry_run"):
        # There will be nothing to save.
        config.option.benchmark_save = config.option.benchmark_autosave = None
        return
    if get("collectonly"):
        return
    if get("benchmark_disable") and not get("benchmark_enable"):
        raise ValueError(
            "`--benchmark-disable` leaves nothing to measure; use `--dry-run` to list the cases."
        )
