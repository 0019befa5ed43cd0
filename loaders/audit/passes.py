"""The passes of a run: read the input directly, then let Keras feed it to fresh models.

Keras must have been imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_loader_bench.loaders.audit.judge import Judged, judge
from keras_loader_bench.loaders.audit.reading import KEPT_BYTES, PROMISES, Promise, Reading, promise
from keras_loader_bench.loaders.audit.records import Arrays, BatchRecord, Recorder
from keras_loader_bench.loaders.audit.target import (
    Length,
    Target,
    TargetError,
    kind_of,
    length_of,
    read_by_hand,
)

MAX_BATCHES = 100_000
MAX_SAMPLES = 10_000_000
"""Limits of a direct reading if the input has no length."""

Report = Callable[..., None]


class AuditedInput:
    """One run over one input.

    Args:
        target: the input, or what makes it.
        steps: batches of an epoch; `None`: all that the input has.
        shuffle: what is passed to `fit` where the input heeds it.
        report: called with every event.
    """

    def __init__(self, target: Target, steps: int | None, shuffle: bool, report: Report) -> None:
        self.target = target
        self.report = report
        value = target.make()
        self.kind = str(kind_of(value))
        # A generator is made anew for each reading and pass, everything else once, as in a script.
        self._value = None if self.kind == "generator" else value
        self.length: Length = length_of(value, self.kind)
        self.steps = steps
        if self.length == "infinite" and steps is None:
            raise TargetError(
                f"`{target.name}` is an endless {self.kind}; give the number of batches per epoch "
                "with --steps-per-epoch N."
            )
        # The only kind of input that `fit` shuffles; with steps it could be any of its batches.
        self.shuffle = shuffle and self.kind == "PyDataset" and steps is None
        self.fits = 2 if self.kind == "generator" and steps is None else 1

        first = Reading(keep_bytes=KEPT_BYTES)
        self.readings = (first, Reading())
        self.parts = [slice(None)] * 2
        """What of a reading the two epochs should be given."""
        if steps is not None:  # an epoch then goes on where the one before has ended
            self.parts = [slice(0, steps), slice(steps, 2 * steps)]
        self.promises: list[Promise] = []
        keywords = {name: getattr(value, name, None) for name in ("workers", "use_multiprocessing")}
        report(
            "input",
            kind=self.kind,
            type=type(value).__qualname__,
            shuffle=self.shuffle,
            steps=self.steps,
            fits=self.fits,
            length=self.length,
            **(keywords if self.kind == "PyDataset" else {}),
        )

    def value(self) -> Any:
        """Return the input."""
        return self.target.make() if self._value is None else self._value

    def read_by_hand(self) -> None:
        """Read the input twice: what every pass is judged by."""
        for reading in self.readings:
            self._read(reading)
        one, other = (reading.batches() for reading in self.readings)
        if not one:
            raise TargetError(f"`{self.target.name}` yielded no batch when it was read directly.")
        self.promises = [promise(one[part], other[part]) for part in self.parts]
        samples = [digest for batch in one for digest in batch.samples]
        places: dict[str, int] = {}
        doubles = [
            (number, places[batch.digest])
            for number, batch in enumerate(one)
            if places.setdefault(batch.digest, number) != number
        ]
        self.report(
            "reading",
            batches=len(one),
            samples=len(samples),
            sizes=[len(batch.samples) for batch in one],
            doubles=doubles if self.steps is None else [],
            promise=max(self.promises, key=PROMISES.index),
            digests=_digests(one),
            content=_content(one),
        )

    def _read(self, reading: Reading) -> None:
        from keras_loader_bench.loaders.audit.recording import as_arrays  # imports Keras

        wanted = None if self.steps is None else 2 * self.steps
        samples = 0
        for number, batch in enumerate(read_by_hand(self.value(), self.kind), start=1):
            reading.add(as_arrays(batch))
            samples += len(reading.batches()[-1].samples)
            if number == wanted:
                return
            endless = self.length == "unknown" and wanted is None
            if endless and (number >= MAX_BATCHES or samples >= MAX_SAMPLES):
                raise TargetError(
                    f"`{self.target.name}` did not end within {number:,} batches; give the number "
                    "of batches per epoch with --steps-per-epoch N."
                )
        if wanted is not None:
            raise TargetError(
                f"--steps-per-epoch {self.steps} takes {wanted} batches for two epochs, and "
                f"`{self.target.name}` ended after {len(reading.batches())}; leave the option out "
                "to audit all of it."
            )

    def fit(self) -> None:
        """Fit a fresh model for two epochs."""
        from keras_loader_bench.loaders.audit.recording import record_fit

        epochs = [Recorder(self.readings[0].samples()) for _ in self.parts]
        records = [_as_compiled(epoch.record) for epoch in epochs]
        done = 0
        try:
            for i in range(self.fits):
                args = {"x": self.value(), **self._steps()}
                record_fit(args, records[i :: self.fits], shuffle=self.shuffle)
            done = len(epochs)
        finally:
            # Of an epoch that an exception ended, nothing is said.
            for i, epoch in enumerate(epochs):
                if i < done or any(later.batches for later in epochs[i + 1 :]):
                    name = f"fit, epoch {i + 1}"
                    judged = self._judge(name, epoch, i, shuffled_batches=self.shuffle)
                    self._report(judged, epoch.batches)

    def evaluate(self) -> None:
        """Evaluate a fresh model."""
        from keras_loader_bench.loaders.audit.recording import record_evaluate

        got = Recorder(self.readings[0].samples())
        record_evaluate({"x": self.value(), **self._steps()}, _as_compiled(got.record))
        self._report(self._judge("evaluate", got, 0), got.batches)

    def predict(self) -> None:
        """Predict with a fresh model."""
        from keras_loader_bench.loaders.audit.recording import record_predict

        got = Recorder(self.readings[0].samples(targets=False))
        in_order = record_predict({"x": self.value(), **self._steps()}, _as_compiled(got.record))
        judged = self._judge("predict", got, 0, targets=False)
        self._report(judged, got.batches, outputs_in_order=in_order)

    def _steps(self) -> dict[str, int]:
        return {} if self.steps is None else {"steps_per_epoch": self.steps}

    def _judge(self, name: str, got: Recorder, part: int, **how: Any) -> Judged:
        promised: Promise = self.promises[part]
        return judge(name, self.readings, got, promised=promised, part=self.parts[part], **how)

    def _report(self, judged: Judged, got: list[BatchRecord], **more: Any) -> None:
        digests = {"digests": _digests(got), "content": _content(got)}
        self.report("pass", **judged.to_dict(), **digests, **more)


def _as_compiled(record: Callable[[Arrays], None]) -> Callable[[Arrays], None]:
    """Return a function that records what a compiled step would be given.

    The audit's steps are not compiled. JAX gives compiled ones 32 bits for 64.
    """
    import keras

    if keras.backend.backend() != "jax":
        return record
    import jax

    def record_narrowed(batch: Arrays) -> None:
        dtypes = {name: jax.dtypes.canonicalize_dtype(array.dtype) for name, array in batch.items()}
        with np.errstate(over="ignore"):
            record({name: array.astype(dtypes[name]) for name, array in batch.items()})

    return record_narrowed


def _digests(batches: list[BatchRecord]) -> list[str]:
    return [batch.digest[:16] for batch in batches]


def _content(batches: list[BatchRecord]) -> str:
    """Return a digest of all samples in no order."""
    samples = sorted(sample for batch in batches for sample in batch.samples)
    return hashlib.sha256(b"".join(samples)).hexdigest()
