"""A case: what is measured at once, with which options.

Must not know: how a case is run, any framework, any particular loader.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.bench.plan.options import CASE_OPTIONS, CaseOptions
from keras_loader_bench.loaders import LOADERS

BENCHES = ("feed", "train", "memory", "emulated")
"""Names of the benchmarks. All but `train` fit the null model, whose step costs nothing."""


@dataclass(frozen=True, kw_only=True)
class Case(CaseOptions):
    """One loader x model x options x backend. `str(case)` is its id everywhere."""

    bench: str

    @property
    def fitted_model(self) -> str:
        """Name of the model that the rounds fit."""
        return self.model if self.bench == "train" else "null"

    @property
    def unsupported(self) -> str | None:
        """Why it cannot be run; `None`: it can."""
        if self.backend == "torch" and self.steps_per_execution > 1:
            return (
                f"Keras runs one step per execution on torch, got {self.steps_per_execution}; "
                "leave out torch in --keras-backends, or --steps-per-execution"
            )
        if self.page_cache == "cold" and self.num_workers and LOADERS[self.loader].worker_processes:
            return (
                "its worker processes keep the source's pages mapped, so they cannot be dropped; "
                "leave out `--page-cache cold` or --num-workers"
            )
        return None

    @property
    def without_samples(self) -> str:
        """The id that it shares with cases of other numbers of samples."""
        parts = [self.bench]
        for name, each in CASE_OPTIONS.items():
            value = getattr(self, name)
            if each.kind is bool or name == "samples" or value is None:
                continue
            if each.always_in_id or value != each.default:
                busy = "cpu" if name == "step_ms" and self.step_cpu else ""
                parts.append(busy + each.in_id.format(value))
        return "-".join(parts)

    def __str__(self) -> str:
        return f"{self.without_samples}-{CASE_OPTIONS['samples'].in_id.format(self.samples)}"
