"""Executes the requests to a case: the only place where framework, model and loader meet."""

from __future__ import annotations

import gc
import time
from typing import Any

from keras_loader_bench.bench.child.case_process import CaseProcess
from keras_loader_bench.bench.child.case_rows import CaseRows
from keras_loader_bench.bench.child.cpu_time import own_cpu_seconds
from keras_loader_bench.bench.child.disk_reads import disk_bytes_read
from keras_loader_bench.bench.child.loader_options import loader_options
from keras_loader_bench.bench.plan.shares import share_of


class Worker(CaseProcess):
    """Holds the model, the ceiling and the loader of one case. Requests are its methods.

    Args:
        source: folder of the `ImageSource`, or of the `EncodedSource` if it has an image size.
        samples: how many of its rows exist for this case.
        common: see `CaseProcess`.
    """

    def __init__(self, *, source: str, samples: int, **common: Any) -> None:
        from keras_loader_bench.bench.child.cold_pages import CasePages
        from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
        from keras_loader_bench.loaders.sources.image_source import ImageSource

        super().__init__(**common)
        size = self._case.delivered_size
        self._source: Any = (
            EncodedSource.open(source, image_size=size) if size else ImageSource.open(source)
        ).head(samples)
        self._case_rows = CaseRows(
            self._case, self._source.num_samples, seed=self._seed, rank=self._rank
        )
        self._pages = CasePages(self._case, self._source)
        self._loader: Any = None
        self._round_rows: Any = None
        self._round_epochs = 1
        self._resident: float | None = None
        self._read_before: int | None = None
        self._emulated: Any = None

    def make_model(self) -> None:
        """Make and compile the model, and what its steps wait for."""
        from keras_loader_bench.bench.child.emulated_step import emulated_step
        from keras_loader_bench.bench.child.epoch_timing import EachBatch
        from keras_loader_bench.bench.child.framework import set_seed
        from keras_loader_bench.bench.child.models import Samples, make_model

        set_seed(self._seed)
        case = self._case
        part = case.image_size if case.augment == "model" else None
        pixels = loader_options(case, seed=self._seed).pixels
        together = case.trains_together
        samples = Samples.of(self._source, pixels, part=part, together=together)
        names = ("precision", "jit_compile", "steps_per_execution")
        options = {name: getattr(case, name) for name in names}
        self._model = make_model(case.fitted_model, samples, **options)
        if case.step_ms is not None:
            self._emulated = emulated_step(case.step_ms, busy=case.step_cpu)
        self._callbacks = [EachBatch(self._on_batch), *filter(None, [self._emulated])]

    def make_ceiling(self) -> None:
        """Make the ceiling and fit two of its batches, which builds and traces the model."""
        from keras_loader_bench.bench.child.ceiling import CeilingLoader

        self._ceiling = CeilingLoader(self._source, loader_options(self._case, seed=self._seed))
        self._fit_once("ceiling", self._case_rows.whole_batches(2 * self._case.steps_per_execution))
        # TensorFlow alone is 350,000 objects: without them the collection before each round takes
        # a millisecond and not a fifth of a second.
        gc.collect()
        gc.freeze()

    def make_loader(self) -> None:
        """Make the loader of the case; the peak of device memory counts from now on."""
        from keras_loader_bench.bench.child.device import reset_peak_memory
        from keras_loader_bench.bench.plan.case import CEILING
        from keras_loader_bench.loaders import make_loader
        from keras_loader_bench.loaders.encoded.registry import make_image_loader

        reset_peak_memory()
        self._loader = self._ceiling
        make: Any = make_image_loader if self._case.image_size else make_loader
        if (name := self._case.loader) != CEILING:
            self._loader = make(name, self._source, loader_options(self._case, seed=self._seed))

    def prepare_round(self, *, loader: str, epoch: int, samples: int, epochs: int = 1) -> None:
        """Do what a round needs and what its clock and its caller's must not see.

        Args:
            loader: `ceiling` or `loader`.
            epoch: number of the order.
            samples: an epoch of the round has so many of the order's first rows.
            epochs: of the one `fit` that the round is; each has the same rows.
        """
        self._round_epochs = self._ceiling.epochs = epochs
        self._round_loader = self._ceiling if loader == "ceiling" else self._loader
        self._round_rows = None  # or two orders would be in memory at once
        self._round_rows = self._rows(epoch)[:samples]
        self._round_loader.epoch = epoch
        gc.collect()  # a round pays for its own garbage only
        self._read_before = None
        if loader == "loader":
            self._resident = self._pages.prepare()
            self._read_before = disk_bytes_read()
        self._cpu_before = own_cpu_seconds()

    def round(self) -> dict[str, Any]:
        """Fit the prepared round.

        The clock runs from `fit_args` until `fit` has returned and the device has done its work.

        Returns:
            `samples` delivered in all `epochs`, `seconds`, `resident_before`, the share of the
            source's pages that were in memory (`None`: unknown); also `read_bytes` from storage of
            a loader, where that is known, and `steady_seconds` and `steady_samples`, see `Round`.
        """
        from keras_loader_bench.bench.child.backends import current
        from keras_loader_bench.bench.child.models import fit
        from keras_loader_bench.bench.child.steady_time import steady_times

        rows = self._round_rows
        steady = steady_times(self._case, len(rows), on_accelerator=self._on_accelerator)
        arguments = self._model, self._round_loader, rows, [*self._callbacks, *steady]
        start = time.perf_counter()
        seen = fit(*arguments, epochs=self._round_epochs, ranks=self._counted_ranks)
        current().synchronize(self._model)
        seconds = time.perf_counter() - start
        reply: dict[str, Any] = {"samples": seen, "epochs": self._round_epochs}
        reply |= {"seconds": seconds, "resident_before": self._resident}
        if self._read_before is not None and (read := disk_bytes_read()) is not None:
            reply["read_bytes"] = read - self._read_before
        if self._emulated is not None:
            reply["steady_seconds"] = self._emulated.steady_seconds
        for each in steady:
            reply |= each.of_round(len(rows), self._case.batch_size)
        return reply

    def settle(self) -> None:
        """Let go of the round's rows too."""
        self._round_rows = None
        super().settle()

    def calibrate(self, **lengths: Any) -> dict[str, int]:
        """Warm up; return the `samples` of an epoch of a round, and its `epochs`.

        Args:
            lengths: what `bench.plan.calibration.calibrated` is told of rounds.
        """
        from keras_loader_bench.bench.plan.calibration import RoundLimits, calibrated

        limits = RoundLimits(**self.round_limits())
        batches, epochs = calibrated(lambda n: self.fit_batches(batches=n), limits, **lengths)
        samples = self.samples_of(batches=batches)
        self._fit_once("ceiling", samples)
        return {"samples": samples, "epochs": epochs}

    def samples_of(self, *, batches: int) -> int:
        """Return how many samples so many batches have, in an epoch of this process at most."""
        return self._case_rows.whole_batches(batches)

    def round_limits(self) -> dict[str, Any]:
        """Return the fields of `bench.plan.calibration.RoundLimits`."""
        from keras_loader_bench.bench.plan.calibration import limits_of

        samples = self._case_rows.samples
        return vars(limits_of(self._case, samples, on_accelerator=self._on_accelerator))

    def fit_batches(self, *, batches: int) -> float:
        """Fit so many batches of the loader; return the seconds that it took."""
        return self._fit_once("loader", self._case_rows.whole_batches(batches))

    def warm_up(self, *, samples: int) -> None:
        """Fit an epoch of a round, whose size is known, with loader and ceiling."""
        self._fit_once("loader", samples)
        self._fit_once("ceiling", samples)

    def _fit_once(self, loader: str, samples: int) -> float:
        self.prepare_round(loader=loader, epoch=0, samples=samples)
        seconds: float = self.round()["seconds"]
        return seconds

    def time_to_first_batch(self, *, epoch: int, samples: int) -> float:
        """Return the seconds from the start of a round to the end of its first step."""
        from keras_loader_bench.bench.child.epoch_timing import FirstStep
        from keras_loader_bench.bench.child.models import fit

        rows = self._rows(epoch)[:samples]
        gc.collect()
        self._resident = self._pages.prepare()
        step, start = FirstStep(), time.perf_counter()
        fit(self._model, self._loader, rows, [*self._callbacks, step], ranks=self._counted_ranks)
        assert step.end is not None, "a round has at least one batch"
        return step.end - start

    def epoch_boundaries(self, *, epochs: int, batches: int) -> list[float]:
        """Return the seconds between the epochs of one `fit`; see `bench.child.epoch_timing`."""
        from keras_loader_bench.bench.child.epoch_timing import Boundaries
        from keras_loader_bench.bench.child.models import fit

        rows = self._rows(0)[: self._case_rows.whole_batches(batches)]
        gc.collect()
        times = Boundaries()
        callbacks = [*self._callbacks, times]
        fit(self._model, self._loader, rows, callbacks, epochs=epochs, ranks=self._counted_ranks)
        return times.seconds

    def audit(self, *, whole_epoch: bool) -> dict[str, Any]:
        """Let fresh models record what the loader gives them; see `bench.child.audit`."""
        from keras_loader_bench.bench.child.backends import current
        from keras_loader_bench.bench.child.case_audit import audit_case

        if self._loader is None:
            self.make_loader()
        if self._case.trains_together:
            current().leave()  # what is recorded is this rank's own
        options: dict[str, Any] = {"whole_epoch": whole_epoch, "on_batch": self._on_batch}
        return audit_case(self._case, self._loader, self._rows, **options)

    def share(self, *, epoch: int) -> dict[str, Any]:
        """Return which rows of an epoch this process is to be given; see `share_of`."""
        return share_of(self._rows(epoch), self._source.num_samples)

    def drop_pages(self, *, of: str) -> None:
        """Let go of pages before cold rounds of several ranks; see `CasePages.drop`."""
        self._pages.drop(of)

    def weights(self) -> str:
        """Return a digest of the model's weights."""
        from keras_loader_bench.bench.child.models import weights_digest

        return weights_digest(self._model)

    @property
    def _counted_ranks(self) -> int:
        """Of how many ranks the model counts the samples."""
        from keras_loader_bench.bench.child.backends import current

        case = self._case
        return case.ranks if case.trains_together and current().COUNTS_ALL_RANKS else 1

    def decode(self, *, seconds: float) -> dict[str, Any]:
        """Decode images on all cores for some time; see `bench.child.decoding_rate`."""
        from keras_loader_bench.bench.child.decoding_rate import decoding_rate

        return decoding_rate(self._source, seconds)

    def close_loader(self) -> None:
        """Close the loader and collect what it leaves."""
        self._loader.close()
        self._loader = None
        self.settle()

    def _rows(self, epoch: int) -> Any:
        return self._case_rows.of_epoch(epoch, self._loader)
