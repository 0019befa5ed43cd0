"""Executes the requests to a case that measures a user's input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from keras_loader_bench.bench.child.case_process import CaseProcess
from keras_loader_bench.bench.child.cpu_time import own_cpu_seconds
from keras_loader_bench.bench.child.inputs import input_round
from keras_loader_bench.bench.plan.remedies import REMEDIES

WHOLE_EPOCH_SECONDS = 4.0
"""An epoch that takes longer is not repeated to time the pause between two."""


class InputWorker(CaseProcess):
    """Holds the model, the ceiling and the input of one case. Requests are its methods.

    Args:
        about: fields of the `InputRecord` of the input; `None`: nobody has looked at it yet.
        common: see `CaseProcess`.
    """

    def __init__(self, *, about: dict[str, Any] | None = None, **common: Any) -> None:
        super().__init__(**common)
        self._about = about
        self._loaded: Any = None
        self._model: Any = None

    @property
    def _feed(self) -> Any:
        """The input; imported and made when it is first needed."""
        from keras_loader_bench.bench.child.inputs.input_feed import InputFeed

        if self._loaded is None:
            how: dict[str, Any] = {name: getattr(self._case, name) for name in ("steps", "remedy")}
            how |= {"narrow": (self._about or {}).get("narrow"), "on_batch": self._on_batch}
            self._loaded = InputFeed(self._case.loader, **how)
        return self._loaded

    def look(self) -> dict[str, Any]:
        """Find out what the input is; see `InputFeed.look`. Later requests need it."""
        self._about = self._feed.look()
        return self._about

    def make_model(self) -> None:
        """Make the model that rounds fit."""
        from keras_loader_bench.bench.child.epoch_timing import EachBatch
        from keras_loader_bench.bench.child.framework import set_seed
        from keras_loader_bench.bench.child.inputs.input_models import input_model

        set_seed(self._seed)
        self._model = input_model(self._case.fitted_model, self._form)
        self._callbacks = [EachBatch(self._on_batch)]

    def make_ceiling(self) -> None:
        """Make the ceiling and fit two of its batches, which builds and traces the model.

        The ceiling of a memory case has zeros for batches: whatever the import of the input takes
        must not be in the baseline.
        """
        from keras_loader_bench.bench.child.inputs.batch_form import zeros_like

        memory = self._case.bench == "memory"
        self._replayed = [zeros_like(self._form)] if memory else self._feed.replayed()
        self._fit_ceiling(self._few)
        gc.collect()
        gc.freeze()  # as in `Worker.make_ceiling`

    def make_loader(self) -> None:
        """Import and make the input; the peak of device memory counts from now on."""
        from keras_loader_bench.bench.child.device import reset_peak_memory

        reset_peak_memory()
        self._feed.fit_arguments()

    def prepare_round(self, *, loader: str, epoch: int, batches: int, epochs: int = 1) -> None:
        """Do what a round needs and what its clock must not see.

        Args:
            loader: `ceiling` or `loader`.
            epoch: number of the round; inputs have their own order.
            batches: of each `fit`.
            epochs: how many such calls of `fit` the round has.
        """
        self._round = loader, batches, epochs
        gc.collect()
        self._cpu_before = own_cpu_seconds()

    def round(self) -> dict[str, Any]:
        """Fit the prepared round.

        Returns:
            `seconds` of all batches but the first of each `fit`, and `samples` of these batches;
            `batches` and `epochs` as they were prepared.
        """
        loader, batches, epochs = self._round
        fit = self._fit_ceiling if loader == "ceiling" else self._fit_input
        timed = [fit(batches) for _ in range(epochs)]
        count = sum(count for count, _ in timed)
        return {
            "samples": self._samples_of(count, skipped=batches * epochs - count),
            "round_samples": self._samples_of(batches * epochs),
            "seconds": sum(seconds for _, seconds in timed),
            "batches": batches,
            "epochs": epochs,
        }

    def calibrate(self, *, seconds: float, accelerator_seconds: float) -> dict[str, int]:
        """Warm up; return the `batches` of each `fit` of a round, and its `epochs`.

        A round lasts about `seconds`, and is several calls of `fit` where an epoch is shorter.
        """
        wanted = accelerator_seconds if self._on_accelerator else seconds
        most = self._known["batches"] or 10**9
        batches = min(max(input_round.LEAST_BATCHES, self._few), most)
        self._fit_input(self._few)  # traces: its time says nothing
        begin = time.perf_counter()
        count, elapsed = self._fit_input(batches)
        whole = time.perf_counter() - begin
        # Keras trains on whole executions only.
        step = getattr(self._model, "steps_per_execution", 1)
        self._fit_ceiling(self._few)
        each = elapsed / count
        return input_round.size_of_round(wanted, each=each, whole=whole, most=most, step=step)

    def warm_up(self, *, batches: int) -> None:
        """Fit some batches with input and ceiling."""
        self._fit_input(min(self._few, batches))
        self._fit_ceiling(min(self._few, batches))

    def read_alone(self, *, batches: int) -> dict[str, Any]:
        """Read without Keras; return `samples` after the first batch, and their `seconds`."""
        _, samples, seconds = self._feed.read_alone(batches)
        return {"samples": samples, "seconds": seconds}

    def parts(self, *, batches: int) -> dict[str, float]:
        """Return where the seconds of a batch go; see `bench.child.inputs.input_parts`."""
        from keras_loader_bench.bench.child.inputs.input_parts import parts_of

        made = self._feed, self._model, batches, self._replayed, self._callbacks
        return parts_of(*made, narrow=self._known["narrow"])

    def time_to_first_batch(self, *, epoch: int, batches: int) -> float:
        """Return the seconds from the start of `fit` to the end of its first step."""
        from keras_loader_bench.bench.child.epoch_timing import FirstStep

        arguments, step = self._feed.fit_arguments(), FirstStep()
        gc.collect()
        start = time.perf_counter()
        self._fit(arguments, [step], steps_per_epoch=batches)
        assert step.end is not None, "a round has at least one batch"
        return step.end - start

    def epoch_boundaries(self) -> list[float]:
        """Return the seconds between two epochs of one `fit`; none where an epoch takes long."""
        from keras_loader_bench.bench.child.epoch_timing import Boundaries

        batches = self._known["batches"]
        if batches is None or self._feed.kind == "generator" or self._case.steps:
            return []
        if batches * self._known["seconds_per_batch"] > WHOLE_EPOCH_SECONDS:
            return []
        times = Boundaries()
        self._fit(self._feed.fit_arguments(), [times], epochs=2)
        return times.seconds

    def audit(self, *, whole_epoch: bool, promise: str | None = None) -> dict[str, Any]:
        """Let fresh models record what `fit`, `evaluate` and `predict` give them.

        Args:
            whole_epoch: asked of loaders alone; an input is audited for as long as it may take.
            promise: of the input, as the audit without a remedy has found it.
        """
        from keras_loader_bench.bench.child.inputs.input_audit import audit_input

        most = input_round.audited_batches(self._known["seconds_per_batch"])
        batches = self._known["batches"]
        how: dict[str, Any] = {}
        if remedy := REMEDIES.get(self._case.remedy):
            how = {"ordered": promise == "ordered", "passes": ["fit"]}
            how |= (
                {"made": self._feed.value} if remedy.joins else {"fed": self._feed.data_arguments}
            )
        return audit_input(
            self._case.loader,
            batches=most if batches is None or batches > most else self._case.steps or None,
            on_batch=self._on_batch,
            **how,
        )

    def close_loader(self) -> None:
        """Let go of the input."""
        self._loaded = None
        self.settle()

    @property
    def _few(self) -> int:
        """Batches of a `fit` that only warms up: two executions, and at least three."""
        few = max(3, 2 * getattr(self._model, "steps_per_execution", 1))
        return min(few, self._known["batches"] or few)

    def _samples_of(self, batches: int, *, skipped: int = 0) -> int:
        """Return the samples of so many batches of whole epochs or of their beginnings.

        Args:
            batches: how many.
            skipped: first batches that come before them.
        """
        known = self._known
        largest: int = known["batch_sizes"][1]
        samples: int | None = known["samples"]
        if self._feed.shuffles or samples is None or samples <= (known["batches"] - 1) * largest:
            return int(batches * known["mean_batch_size"] + 0.5)
        # In order, and only the last batch of an epoch is smaller.
        whole, rest = divmod(batches + skipped, known["batches"])
        return int(whole * samples + (rest - skipped) * largest)

    @property
    def _known(self) -> dict[str, Any]:
        if self._about is None:
            self.look()
        assert self._about is not None
        return self._about

    @property
    def _form(self) -> Any:
        return self._known["form"]

    def _fit(self, fit_args: dict[str, Any], callbacks: list[Any], **how: int) -> None:
        callbacks = [*self._callbacks, *callbacks]
        self._model.fit(**fit_args, **how, verbose=0, callbacks=callbacks)

    def _fit_input(self, batches: int) -> tuple[int, float]:
        whole = batches == self._known["batches"] and not self._case.steps
        # Keras asks a generator for one batch more, and warns that there is none.
        whole = whole and self._feed.kind != "generator"
        steps = {} if whole else {"steps_per_epoch": batches}
        return self._timed_fit(lambda: self._feed.fit_arguments() | steps, batches)

    def _fit_ceiling(self, batches: int) -> tuple[int, float]:
        from keras_loader_bench.bench.child.inputs.batch_form import ceiling_arguments

        return self._timed_fit(lambda: ceiling_arguments(self._replayed, batches), batches)

    def _timed_fit(
        self, arguments: Callable[[], dict[str, Any]], batches: int
    ) -> tuple[int, float]:
        from keras_loader_bench.bench.child.inputs.input_feed import fit_batches

        try:
            return fit_batches(self._model, arguments(), batches, self._callbacks)
        except (TypeError, ValueError):
            if self._loaded is not None:
                self._loaded.check_fields()
            raise
