"""What is measured: benchmarks, models and cases.

Must not know: how a case is run, any framework, any particular loader.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal, get_args

from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.contract import Pixels

BENCHES: dict[str, str] = {"feed": "null", "train": "cnn", "memory": "null", "emulated": "null"}
"""Name of a benchmark -> name of the model that its rounds fit."""

Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["float32", "mixed_bfloat16"]
JitCompile = Literal["auto", "on", "off"]
PageCache = Literal["warm", "cold"]

BACKENDS = ("jax", "tensorflow", "torch")
"""Keras backends that the suite measures on; each is named after the package that it needs."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One loader x model x options x backend. `str(case)` is its id everywhere."""

    bench: str
    backend: str
    loader: str
    batch_size: int
    pixels: Pixels
    samples: int
    """Samples in the source."""
    num_workers: int = 0
    """See `loaders.LoaderOptions`; 0 for a loader that has none."""

    device: Device = "auto"
    """What the backend may use; `auto`: an accelerator where it sees one."""

    precision: Precision = "float32"
    """Keras' dtype policy of the model. Batches are the same under each."""

    jit_compile: JitCompile = "auto"
    """Whether Keras compiles the step (XLA, `torch.compile`); `auto`: where Keras would."""

    steps_per_execution: int = 1
    """Steps that Keras runs in one call of its compiled function."""

    page_cache: PageCache = "warm"
    """Whether the source's pages stay where they are (`warm`) or are dropped from memory before
    each round and each first batch (`cold`)."""

    step_ms: float | None = None
    """Milliseconds that every step waits in an `emulated` case; `None` in all others."""

    step_cpu: bool = False
    """Whether an emulated step keeps one core busy instead of sleeping."""

    @property
    def model(self) -> str:
        """Name of the model that is fitted."""
        return BENCHES[self.bench]

    @property
    def unsupported(self) -> str | None:
        """Why it cannot be run; `None`: it can."""
        if self.backend == "torch" and self.steps_per_execution > 1:
            return (
                f"Keras runs one step an execution on torch, got {self.steps_per_execution}; "
                "leave torch out of --keras-backends or --steps-per-execution away"
            )
        if self.page_cache == "cold" and self.num_workers and LOADERS[self.loader].worker_processes:
            return (
                "its worker processes keep the source's pages mapped, so they cannot be dropped; "
                "leave `--page-cache cold` or --num-workers away"
            )
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the model, as they stand in `run.json`."""
        return {**asdict(self), "model": self.model}

    @property
    def without_samples(self) -> str:
        """The id that it shares with cases of other numbers of samples."""
        parts = [
            f"{self.bench}-{self.backend}-{self.loader}-w{self.num_workers}",
            f"b{self.batch_size}-{self.pixels}",
        ]
        if self.device != "auto":
            parts.append(self.device)
        if self.precision != "float32":
            parts.append(self.precision)
        if self.jit_compile != "auto":
            parts.append(f"jit_{self.jit_compile}")
        if self.steps_per_execution != 1:
            parts.append(f"spe{self.steps_per_execution}")
        if self.page_cache != "warm":
            parts.append(self.page_cache)
        if self.step_ms is not None:
            parts.append(f"{'cpu' if self.step_cpu else ''}step{self.step_ms:g}ms")
        return "-".join(parts)

    def __str__(self) -> str:
        return f"{self.without_samples}-n{self.samples}"


def plan(
    bench: str,
    *,
    backends: Sequence[str],
    loaders: Sequence[str],
    num_workers: Sequence[int],
    batch_sizes: Sequence[int],
    pixels: Sequence[str],
    samples: Sequence[int],
    device: str = "auto",
    precisions: Sequence[str] = ("float32",),
    jit_compile: Sequence[str] = ("auto",),
    steps_per_execution: Sequence[int] = (1,),
    page_cache: Sequence[str] = ("warm",),
    steps_ms: Sequence[float] = (),
    step_cpu: bool = False,
) -> list[Case]:
    """Return the cases of one benchmark: every combination, neighbours differing by the loader.

    A loader without workers has one case, whatever the numbers of workers. `steps_ms` and
    `step_cpu` concern the emulated accelerator alone, which has no case without them. Memory is
    measured with a warm page cache alone.

    Raises:
        ValueError: a name is unknown or a number is out of range; the message lists what is valid.
    """
    check_names("backend", backends, BACKENDS)
    check_names("loader", loaders, sorted(LOADERS))
    check_names("pixels", pixels, get_args(Pixels))
    check_names("device", [device], get_args(Device))
    check_names("precision", precisions, get_args(Precision))
    check_names("jit_compile", jit_compile, get_args(JitCompile))
    check_names("page cache", page_cache, get_args(PageCache))
    for what, values in (
        ("batch size", batch_sizes),
        ("number of samples", samples),
        ("number of steps per execution", steps_per_execution),
        ("time of a step (ms)", steps_ms),
    ):
        for value in values:
            if not 0 < value < math.inf:
                raise ValueError(f"A {what} must be positive, got {value}.")
    if min(num_workers) < 0:
        raise ValueError(f"A number of workers must not be negative, got {min(num_workers)}.")
    emulated = bench == "emulated"
    if emulated and steps_ms and max(steps_per_execution) > 1:
        raise ValueError(
            f"An emulated step waits once for each batch: steps per execution must be 1, got "
            f"{max(steps_per_execution)}."
        )
    return [
        Case(
            bench=bench,
            backend=backend,
            loader=loader,
            batch_size=batch,
            pixels=form,  # type: ignore[arg-type]  # names are checked above
            samples=count,
            num_workers=workers,
            device=device,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            jit_compile=jit,  # type: ignore[arg-type]
            steps_per_execution=steps,
            page_cache=pages,  # type: ignore[arg-type]
            step_ms=step_ms,
            step_cpu=emulated and step_cpu,
        )
        for backend, count, batch, form, precision, jit, steps, pages, step_ms, loader in product(
            backends,
            samples,
            batch_sizes,
            pixels,
            precisions,
            jit_compile,
            steps_per_execution,
            ("warm",) if bench == "memory" else page_cache,
            steps_ms if emulated else (None,),
            loaders,
        )
        for workers in (sorted(set(num_workers)) if LOADERS[loader].has_workers else [0])
    ]


def check_names(kind: str, given: Sequence[str], valid: Collection[str]) -> None:
    """Refuse unknown and repeated names.

    Raises:
        ValueError: naming the first one and all valid ones.
    """
    for name in given:
        if name not in valid:
            raise ValueError(f"Unknown {kind} `{name}`; choose from {', '.join(valid)}.")
        if given.count(name) > 1:
            raise ValueError(f"The {kind} `{name}` is given twice; name it once.")
