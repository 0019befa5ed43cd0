"""Audits a registered loader under the conditions of its timed rounds.

The reference is computed from the source with NumPy alone, encoded images with Pillow. It shares no
code with the loaders, so that a fault of theirs cannot be in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from keras_loader_bench.bench.child.pixel_differences import PixelDifferences
from keras_loader_bench.bench.child.reference_images import reference_images
from keras_loader_bench.loaders.audit import (
    BatchRecord,
    PassResult,
    Recorder,
    compare,
    record_batch,
)
from keras_loader_bench.loaders.audit.batches.fields import DenseArrays
from keras_loader_bench.loaders.audit.batches.fingerprint import (
    BatchPrint,
    compare_fingerprints,
    fingerprint,
)
from keras_loader_bench.loaders.audit.batches.records import Arrays
from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows, Source
from keras_loader_bench.loaders.encoded.contract import ImageOptions, views_of
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource

WHOLE_EPOCH = "fit, whole epoch by fingerprint"

# Each quotient is rounded twice here, to float64 and to float32; a test compares all 256 with exact
# fractions.
_SCALED = (np.arange(256) / 255.0).astype(np.float32)


class Reference:
    """What a pass over some rows must be given.

    Args:
        source: the stored images.
        rows: the rows, in order.
        options: batch size, the form of the pixels, augmentation.
        epoch: whose views encoded images have; see `ImageLoader.epoch`.
        targets: whether `y` belongs to the batches; `predict` is given none.
        on_batch: called for each batch that is computed.
    """

    def __init__(
        self,
        source: Source,
        rows: Rows,
        options: LoaderOptions,
        *,
        epoch: int = 0,
        targets: bool = True,
        on_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._rows = rows
        self._views: Any = None
        if isinstance(source, EncodedSource) and isinstance(options, ImageOptions):
            self._views = views_of(source, options, len(rows), epoch)
        self._options = options
        self._targets = targets
        self._on_batch = on_batch

    def _arrays(self, some: slice) -> DenseArrays:
        views = None if self._views is None else self._views[some]
        images, labels = reference_images(self._source, self._rows[some], views)
        x = _SCALED[images] if self._options.pixels == "float32" else images
        if not self._targets:
            return {"x": x}
        classes = np.arange(self._source.num_classes)
        return {"x": x, "y": (labels[:, None] == classes).astype(np.float32)}

    @cached_property
    def batches(self) -> list[BatchRecord]:
        """The batches, in order."""
        return [record_batch(batch, whole=True) for batch in self.arrays()]

    @cached_property
    def fingerprints(self) -> list[BatchPrint]:
        """Those of the batches, in order."""
        return [fingerprint(batch) for batch in self.arrays()]

    def arrays(self) -> Iterator[DenseArrays]:
        """Yield the arrays of each batch, in order."""
        size = self._options.batch_size
        for start in range(0, len(self._rows), size):
            self._on_batch()
            yield self._arrays(slice(start, start + size))

    @cached_property
    def samples(self) -> frozenset[bytes]:
        """The digests of all samples."""
        return frozenset(sample for batch in self.batches for sample in batch.samples)

    def values(self, position: int) -> DenseArrays:
        """Return the sample at a position, without the batch's dimension."""
        arrays = self._arrays(slice(position, position + 1))
        return {name: array[0] for name, array in arrays.items()}

    def compare(self, name: str, got: Recorder) -> PassResult:
        """Return the verdict on one pass."""
        return compare(name, self.batches, got.batches, strangers=got.strangers, values=self.values)


def audit_loader(
    loader: Loader[Any],
    rows: Rows,
    other_rows: Rows,
    *,
    epoch_rows: Rows | None = None,
    steps_per_execution: int = 1,
    jit_compile: bool | str = "auto",
    on_batch: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Let fresh models record what a loader gives them, and compare it with the reference.

    The passes: two epochs of a first `fit`, a first `evaluate` and a first `predict`, of which
    every batch is read back and compared byte for byte; and one epoch of which the fingerprint of
    every batch is compared, so that nothing waits for a batch; see
    `loaders.audit.batches.fingerprint`.

    Args:
        loader: the loader.
        rows: those that `fit` is to train on.
        other_rows: those of `evaluate` and `predict`: they show a loader that keeps an old order.
        epoch_rows: those of the pass by fingerprint; `None`: there is none.
        steps_per_execution: of the rounds, because it changes how Keras draws batches.
        jit_compile: of the rounds, for the pass by fingerprint.
        on_batch: called for every batch.

    Returns:
        The audit as stored in `run.json`: `verdict`, `identical`, `digest` and `expected_digest`
        over the batches of the first epoch, `batches` and `samples` in it, `first_difference`,
        `passes`, and `pixels`: how much they differ where only values do.
    """
    from keras_loader_bench.bench.child.epoch_timing import EachBatch
    from keras_loader_bench.loaders.audit.batches import recording
    from keras_loader_bench.loaders.audit.batches.fingerprint_model import fingerprint_fit

    source, options = loader.source, loader.options
    training = Reference(source, rows, options)
    others = Reference(source, other_rows, options, epoch=1)
    images = Reference(source, other_rows, options, epoch=1, targets=False)

    def fit_args(rows: Rows, epoch: int) -> dict[str, Any]:
        loader.epoch = epoch
        return loader.fit_args(rows)

    def counted(recorder: Recorder) -> Callable[[Arrays], None]:
        def record(batch: Arrays) -> None:
            on_batch()
            recorder.record(batch)

        return record

    epochs = [Recorder(training.samples, whole=True) for _ in range(2)]
    recording.record_fit(
        fit_args(rows, 0),
        [counted(epoch) for epoch in epochs],
        steps_per_execution=steps_per_execution,
    )
    evaluated = Recorder(others.samples, whole=True)
    predicted = Recorder(images.samples, whole=True)
    steps = {"steps_per_execution": steps_per_execution}
    recording.record_evaluate(fit_args(other_rows, 1), counted(evaluated), **steps)
    in_order = recording.record_predict(fit_args(other_rows, 1), counted(predicted), **steps)

    predict = images.compare("predict", predicted)
    if predict.identical and not in_order:
        predict = replace(
            predict,
            verdict="other_order",
            difference="`predict` returned its outputs in another order than that of its steps",
        )
    passes = [
        *(training.compare(f"fit, epoch {i}", epoch) for i, epoch in enumerate(epochs, start=1)),
        others.compare("evaluate", evaluated),
        predict,
    ]
    if epoch_rows is not None:
        whole = Reference(source, epoch_rows, options, epoch=2, on_batch=on_batch)
        expected = whole.fingerprints
        got = fingerprint_fit(
            fit_args(epoch_rows, 2),
            most_batches=len(expected),
            callbacks=[EachBatch(on_batch)],
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        passes.append(compare_fingerprints(WHOLE_EPOCH, expected, got))
    wrong = [result for result in passes if not result.identical]
    pixels = None
    if wrong and wrong[0].verdict == "other_values":
        differences = PixelDifferences(training.arrays())
        recording.record_fit(
            fit_args(rows, 0), [differences.see], steps_per_execution=steps_per_execution
        )
        pixels = differences.found()
    return {
        "verdict": wrong[0].verdict if wrong else "identical",
        "identical": not wrong,
        "digest": total_digest(epochs[0].batches),
        "expected_digest": total_digest(training.batches),
        "batches": len(epochs[0].batches),
        "samples": len(rows),
        "first_difference": f"{wrong[0].name}, {wrong[0].difference}" if wrong else None,
        "passes": [result.to_dict() for result in passes],
        "pixels": pixels,
    }


def total_digest(batches: Iterable[BatchRecord]) -> str:
    """Return one SHA-256 over the digests of batches, in their order."""
    return hashlib.sha256("".join(batch.digest for batch in batches).encode()).hexdigest()
