"""Audits the loader of a case: which rows, and under which of its options."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras_loader_bench.bench.child.audit import audit_loader
from keras_loader_bench.bench.child.models import JIT_COMPILE
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders.contract import Loader, Rows

AUDIT_BATCHES = 8, 64
"""The fewest and the most full batches that a pass compares byte for byte; half a batch follows, as
the last batch of an epoch may be smaller. A loader that has `only_whole_batches` refuses it."""

AUDIT_SAMPLES = 8192
"""About how many samples such a pass has where that is more than `AUDIT_BATCHES` allow."""

AUDIT_BYTES = 512 * 2**20
"""About how large all of them may be as float32. Each is hashed twice in every pass, which would
take a minute for 4,000 images of 224 x 224 pixels."""


def audit_rows(order: Rows, loader: Loader[Any]) -> Rows:
    """Return the first rows of an order: their batches are compared byte for byte."""
    batch_size, sample_shape = loader.options.batch_size, loader.source.sample_shape
    fewest, most = AUDIT_BATCHES
    samples = min(AUDIT_SAMPLES, AUDIT_BYTES // (4 * math.prod(sample_shape)))
    full = min(max(samples // batch_size, fewest), most)
    half = 0 if loader.only_whole_batches else batch_size // 2
    return order[: full * batch_size + half]


def audit_case(
    case: Case,
    loader: Loader[Any],
    rows_of: Callable[[int], Rows],
    *,
    whole_epoch: bool,
    on_batch: Callable[[], None],
) -> dict[str, Any]:
    """Audit the loader of a case, see `audit_loader`.

    Args:
        case: the case.
        loader: the loader.
        rows_of: returns the rows of an epoch.
        whole_epoch: whether there is a pass by fingerprint.
        on_batch: called for each batch of a model and of the reference.
    """
    rows = [audit_rows(rows_of(e), loader) for e in (0, 1)]
    return audit_loader(
        loader,
        *rows,
        epoch_rows=rows_of(2) if whole_epoch else None,
        steps_per_execution=case.steps_per_execution,
        jit_compile=JIT_COMPILE[case.jit_compile],
        on_batch=on_batch,
    )
