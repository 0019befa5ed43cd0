"""Audits which batches `fit`, `evaluate` and `predict` really get.

Batches are identified by their content, so that any input of `fit` can be audited:
`keras-loader-bench audit mymodule:my_sequence --keras-backend jax`. Imports no framework.
"""

from __future__ import annotations

from keras_loader_bench.loaders.audit.batches.records import BatchRecord, Recorder, record_batch
from keras_loader_bench.loaders.audit.batches.verdict import PassResult, Verdict, compare

__all__ = ["BatchRecord", "PassResult", "Recorder", "Verdict", "compare", "record_batch"]
