"""The passes of a run: read the input directly, then let Keras feed it to fresh models.

Keras must have been imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from keras_loader_bench.loaders.audit.batches.counting import BatchCounter
from keras_loader_bench.loaders.audit.batches.identify import Identify
from keras_loader_bench.loaders.audit.batches.judge import Judged, judge
from keras_loader_bench.loaders.audit.batches.reading import (
    KEPT_BYTES,
    PROMISES,
    Promise,
    Reading,
    content_of,
    digests_of,
    doubles,
    promise,
    samples_of,
)
from keras_loader_bench.loaders.audit.batches.records import Arrays, BatchRecord, Recorder, View
from keras_loader_bench.loaders.audit.events import Report
from keras_loader_bench.loaders.audit.inputs.epochs import Epochs, plan
from keras_loader_bench.loaders.audit.inputs.kinds import read_by_hand
from keras_loader_bench.loaders.audit.inputs.subject import Subject
from keras_loader_bench.loaders.audit.inputs.target import Target, TargetError

TIMES_BY_HAND = 10
"""How many times as long as both direct readings a pass may take before it counts as hanging."""


class AuditedInput:
    """One run over one input.

    Args:
        target: the input, or what makes it.
        report: called with every event.
        steps: batches of an epoch; `None`: all that the input has.
        batches: how many of each pass are looked at; `None`: all.
        shuffle: what is passed to `fit` where the input heeds it.
        patience_s: seconds after which an input without a length counts as endless.
        identify: by what samples are recognised; `None`: by all that they hold.
        samples: how many an epoch should have; `None`: it is not asked.
        ordered: whether two readings are known to have the same batches in the same order; one is
            enough then.
        seen: called with the name of each pass and of the first reading, and its batches.
    """

    def __init__(
        self,
        target: Target,
        report: Report,
        *,
        steps: int | None = None,
        batches: int | None = None,
        shuffle: bool = True,
        patience_s: float = float("inf"),
        identify: Identify | None = None,
        samples: int | None = None,
        ordered: bool = False,
        seen: Callable[[str, Sequence[BatchRecord]], None] = lambda name, batches: None,
    ) -> None:
        self.target = target
        self.identify = identify
        self.report = report
        self._seen = seen
        self.subject = Subject(target)
        self._fed = self.subject.fit_arguments
        self._asked = {"steps": steps, "shuffle": shuffle}
        self._told = {"samples": samples, "identify": identify and identify.name}
        self._patience_s = patience_s
        self.counter = BatchCounter(report)
        self.epochs = self._plan(batches)
        if self.subject.length == "infinite" and self.epochs.read is None:
            raise TargetError(
                f"`{target.name}` is an endless {self.subject.kind}; give the number of batches "
                "per epoch with --steps-per-epoch N."
            )
        self.may_take_s = 0.0
        """Seconds after which a pass counts as hanging, by how long reading directly took."""
        first = Reading(keep_bytes=KEPT_BYTES, identify=identify)
        self.readings = (first, first if ordered else Reading(identify=identify))
        self.refused: dict[str, str] = {}
        """Fields of which this backend makes no tensor, and why."""
        self.promises: list[Promise] = []
        self._report_input()

    def _plan(self, batches: int | None) -> Epochs:
        subject = self.subject
        return plan(subject.kind, subject.length, batches=batches, **self._asked)  # type: ignore[arg-type]

    def _report_input(self) -> None:
        epochs = self.epochs
        self.report(
            "input",
            **self.subject.about(),
            shuffle=epochs.shuffle,
            steps=epochs.steps,
            fits=epochs.fits,
            first=epochs.first,
            **self._told,
        )

    def feed(self, arguments: Callable[[], dict[str, Any]]) -> None:
        """Give the passes something else from now on, whose batches should be those of the input.

        Args:
            arguments: returns the arguments of `fit` that say what; called for each pass.
        """
        self._fed = arguments

    def read_by_hand(self) -> None:
        """Read the input, as a rule twice: what every pass is judged by."""
        began = time.monotonic()
        for reading in dict.fromkeys(self.readings):
            self._read(reading)
        self.may_take_s = TIMES_BY_HAND * (time.monotonic() - began)
        one, other = (reading.batches() for reading in self.readings)
        if not one:
            raise TargetError(f"`{self.target.name}` yielded no batch when it was read directly.")
        if self.epochs.first and len(one) < (self.epochs.read or 0):  # all of it was read
            self.epochs = self._plan(None)
            self._report_input()
        self.promises = [promise(one[part], other[part]) for part in self.epochs.parts]
        for converted in {False, bool(self.readings[0].converted)}:
            batches = self.readings[0].batches(converted=converted)
            for epoch, part in enumerate(self.epochs.parts, start=1):
                self._seen(f"direct read, epoch {epoch}", batches[part])
        self.report(
            "reading",
            batches=len(one),
            samples=samples_of(one).total(),
            sizes=[len(batch.samples) for batch in one],
            doubles=doubles(one) if self.epochs.steps is None else [],
            promise=max(self.promises, key=PROMISES.index),
            specs=dict(one[0].specs),
            refused=self.refused,
            epoch_samples=sum(len(batch.samples) for batch in one[self.epochs.parts[0]]),
            digests=digests_of(one),
            content=content_of(one),
        )

    def _read(self, reading: Reading) -> None:
        epochs, subject = self.epochs, self.subject
        with closing(read_by_hand(subject.value(), subject.kind, epochs.steps)) as batches:
            self._record(batches, reading)

    def _record(self, batches: Iterator[Any], reading: Reading) -> None:
        from keras_loader_bench.loaders.audit.batches import recording  # imports Keras

        wanted = self.epochs.read
        samples = 0
        began: float | None = None  # at the first batch: processes may start before it
        number = 0
        self.counter.begin()
        for batch in batches:
            number += 1
            began = began or time.monotonic()
            try:
                samples += reading.add(recording.as_arrays(batch))
            except recording.BatchError as error:
                raise TargetError(f"`{self.target.name}`, batch {number - 1}: {error}") from None
            self.counter.count()
            if number == 1:
                self.refused = recording.refused_fields(batch)
            if number == wanted:
                return
            if wanted is None and self.subject.length == "unknown":
                seconds = time.monotonic() - began
                self.subject.check_end(number, samples, seconds, most_s=self._patience_s)
        if wanted is not None and not self.epochs.first:
            raise TargetError(
                f"--steps-per-epoch {self.epochs.steps} takes {wanted} batches for two epochs, and "
                f"`{self.target.name}` ended after {number}; leave the option out to audit all of "
                "it."
            )

    def fit(self) -> None:
        """Fit a fresh model for two epochs."""
        from keras_loader_bench.loaders.audit.batches.recording import record_fit

        epochs = [self._recorder() for _ in self.epochs.parts]
        records = [self._recorded(epoch) for epoch in epochs]
        done = 0
        try:
            for i in range(self.epochs.fits):
                mine = records[i :: self.epochs.fits]
                record_fit(self._arguments(), mine, shuffle=self.epochs.shuffle)
            done = len(epochs)
        finally:
            # Of an epoch that an exception ended, nothing is said.
            for i, epoch in enumerate(epochs):
                if i < done or any(later.batches for later in epochs[i + 1 :]):
                    name = f"fit, epoch {i + 1}"
                    judged = self._judge(name, epoch, i, **self._shuffled())
                    self._report(judged, epoch.batches)

    def evaluate(self) -> None:
        """Evaluate a fresh model."""
        from keras_loader_bench.loaders.audit.batches.recording import record_evaluate

        got = self._recorder()
        record_evaluate(self._arguments(), self._recorded(got))
        self._report(self._judge("evaluate", got, 0), got.batches)

    def predict(self) -> None:
        """Predict with a fresh model."""
        from keras_loader_bench.loaders.audit.batches.recording import record_predict

        got = self._recorder("inputs")
        in_order = record_predict(self._arguments(), self._recorded(got))
        judged = self._judge("predict", got, 0, view="inputs")
        self._report(judged, got.batches, outputs_in_order=in_order)

    def _arguments(self) -> dict[str, Any]:
        steps = self.epochs.steps
        return self._fed() | ({} if steps is None else {"steps_per_epoch": steps})

    def _recorder(self, view: View = "all") -> Recorder:
        reading, identify = self.readings[0], self.identify
        only_x = view == "inputs" and reading.has_labels
        return Recorder(
            reading.samples(view),
            dtypes=reading.dtypes,
            identify=identify.of_inputs if identify and only_x else identify,
        )

    def _recorded(self, to: Recorder) -> Callable[[Arrays], None]:
        from keras_loader_bench.loaders.audit.batches.recording import as_compiled

        self.counter.begin()
        return self.counter.counted(as_compiled(to.record))

    def _shuffled(self) -> dict[str, Any]:
        """Return how `fit` shuffles: the samples of arrays, the batches of a PyDataset."""
        if not self.epochs.shuffle:
            return {}
        samples = self.subject.kind == "arrays"
        return {"promised": "shuffled"} if samples else {"shuffled_batches": True}

    def _judge(self, name: str, got: Recorder, part: int, **how: Any) -> Judged:
        how = {"promised": self.promises[part], "part": self.epochs.parts[part]} | how
        return judge(name, self.readings, got, **how)

    def _report(self, judged: Judged, got: list[BatchRecord], **more: Any) -> None:
        digests = {"digests": digests_of(got), "content": content_of(got)}
        self.report("pass", **judged.to_dict(), **digests, **more)
        self._seen(judged.result.name, got)
