"""The record of a case while it is measured."""

from __future__ import annotations

import os

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.process import Asked
from keras_loader_bench.bench.parent.progress import Progress
from keras_loader_bench.bench.parent.start import Start, start_interpreter
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.environment_record import BackendRecord
from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.schema import INTERRUPTED, CaseRecord, RecordedFailure
from keras_loader_bench.bench.record.writer import RunFile
from keras_loader_bench.bench.sensors.card_monitor import count_cards
from keras_loader_bench.bench.sensors.visible_devices import visible_cards
from keras_loader_bench.loaders.encoded.known_images import StoredSource


class Measurement:
    """A case with its record and its progress.

    Args:
        case: the case to measure.
        protocol: the protocol of the run.
        source: the images, prepared and verified; `None` for a user's input.
        results: receives the record, even if the case fails.
        progress: shows what is being done.
        planned: whether the case is planned; otherwise it is a probe for a breaking point.
        record: what an earlier part of a resumed run has measured.
        start: how its processes begin.
    """

    def __init__(
        self,
        case: Case,
        *,
        protocol: Protocol,
        source: StoredSource | None,
        results: RunFile,
        progress: Progress,
        planned: bool = True,
        record: CaseRecord | None = None,
        start: Start = start_interpreter,
    ) -> None:
        self.case = case
        self.protocol = protocol
        entry = case.entry
        self.known_failure = entry.expected_failure(case.backend, case.num_workers)
        known = self.known_failure
        self.process = ProcessRecord()
        """Of the process that runs, or of the last one."""

        self.record = record or CaseRecord(
            id=str(case),
            case=case,
            outcome=INTERRUPTED,
            packages=list(entry.packages),
            known_failure=RecordedFailure(reason=known.reason, link=known.link) if known else None,
        )
        self._start = start
        self._source = source
        self._results = results
        self.progress = progress
        self.planned = planned

    def import_framework(self, child: Asked) -> None:
        """Let the child import the framework, and record what it is.

        Raises:
            CaseError: an accelerator was asked for, and the backend sees none; or there are fewer
                than ranks that train together.
        """
        description = child.call("import_framework")
        backend = BackendRecord(**description)
        self._results.add_backend(self.case.backend, backend)
        self.process.device = backend.device
        if self.case.device == "gpu" and not self.on_accelerator:
            raise CaseError(
                "skipped",
                "NoAccelerator",
                f"{self.case.backend} sees no accelerator; install its GPU build and check "
                "CUDA_VISIBLE_DEVICES, or give `--device auto`",
            )
        here = self.protocol.launcher == "local"  # elsewhere, nobody here can count
        if not (here and self.case.trains_together and self.on_accelerator):
            return
        cards = len(visible_cards(os.environ, count_cards(os.environ)))
        if 0 < cards < self.case.ranks:  # none: no card that NVML and CUDA_VISIBLE_DEVICES know
            raise CaseError(
                "skipped",
                "TooFewAccelerators",
                f"{self.case.ranks} ranks train together on a GPU each, and {cards} can be seen: "
                "NCCL refuses two processes on one GPU; ask for fewer `--ranks`, or give "
                "`--device cpu`",
            )

    @property
    def about(self) -> InputRecord:
        """What the user's input is.

        Raises:
            CaseError: nobody could look at it.
        """
        if self.record.input is None:
            raise CaseError(
                "failed",
                "UnknownInput",
                f"nothing is known of `{self.case.loader}`: its feed case has failed",
            )
        return self.record.input

    def know_input(self, child: Asked) -> None:
        """Let the child look at a user's input, unless another case of the run has done so."""
        if not self.case.is_input:
            return
        if self.record.input is None:
            self.progress.step("look")
            self.record.input = InputRecord(**child.call("look"))

    @property
    def on_accelerator(self) -> bool:
        """Whether the backend uses an accelerator; known once the framework is imported."""
        return self.process.device not in (None, "cpu")
