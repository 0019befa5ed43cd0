"""The options of a case: one table, from the command line to `run.json` and the reports.

A new option is one field here, and the code that uses it. It then has a flag, is part of a case's
id where somebody asked for it, stands in `run.json` and in every CSV file, keeps rows apart that
must not be compared, and is mentioned in reports where it says something.
Must not know: loaders, how an option is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from keras_loader_bench.bench.plan.option import option, options_of

BACKENDS = ("jax", "tensorflow", "torch")
"""Keras backends that the suite measures on; each is named after the package that it needs."""

PixelForm = Literal["float32", "uint8"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["float32", "mixed_bfloat16"]
JitCompile = Literal["auto", "on", "off"]
PageCache = Literal["warm", "cold"]
Model = Literal["cnn", "mlp"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that tell rows of a report apart, in the order in which they are named."""

    backend: str = option(
        flag="--keras-backends",
        metavar="NAMES",
        help=f"Comma-separated: {', '.join(BACKENDS)} (default: the one Keras is set to).",
        noun="backend",
        choices=BACKENDS,
        in_id="{}",
        phrase="{}",
    )
    loader: str = option(
        flag="--loaders",
        metavar="NAMES",
        help="Comma-separated (default: all but those that can hang).",
        noun="loader",
        in_id="{}",
    )
    num_workers: int = option(
        0,
        since=2,
        flag="--num-workers",
        metavar="NUMBERS",
        help="Comma-separated: threads or processes that prepare batches. Each loader says what "
        "they are; one without any is measured once (default: 0).",
        noun="number of workers",
        kind=int,
        least=0,
        given="0",
        in_id="w{}",
        always_in_id=True,
    )
    """See `loaders.LoaderOptions`; 0 for a loader that has none."""

    batch_size: int = option(
        flag="--batch-sizes",
        metavar="NUMBERS",
        help="Comma-separated (default: 64).",
        noun="batch size",
        kind=int,
        least=1,
        given="64",
        in_id="b{}",
        phrase="batch size {}",
    )
    pixels: PixelForm = option(
        flag="--pixels",
        metavar="FORMS",
        help="float32, uint8 or both (default: float32).",
        noun="pixels",
        choices=get_args(PixelForm),
        given="float32",
        in_id="{}",
        phrase="{}",
    )
    device: Device = option(
        "auto",
        since=4,
        flag="--device",
        metavar="NAME",
        help=f"{', '.join(get_args(Device))}: what backends may use (default: auto, an accelerator "
        "where the backend sees one).",
        noun="device",
        choices=get_args(Device),
        single=True,
        given="auto",
        in_id="{}",
        phrase="device {}",
    )
    """What the backend may use; `auto`: an accelerator where it sees one."""

    precision: Precision = option(
        "float32",
        since=4,
        flag="--precision",
        metavar="POLICIES",
        help=f"Comma-separated: {', '.join(get_args(Precision))} (default: float32).",
        noun="precision",
        choices=get_args(Precision),
        given="float32",
        in_id="{}",
        phrase="policy {}",
    )
    """Keras' dtype policy of the model. Batches are the same under each."""

    jit_compile: JitCompile = option(
        "auto",
        since=4,
        flag="--jit-compile",
        metavar="CHOICES",
        help=f"Comma-separated: {', '.join(get_args(JitCompile))} (default: auto, Keras' choice).",
        noun="jit_compile",
        choices=get_args(JitCompile),
        given="auto",
        in_id="jit_{}",
        phrase="jit_compile {}",
    )
    """Whether Keras compiles the step (XLA, `torch.compile`); `auto`: where Keras would."""

    steps_per_execution: int = option(
        1,
        since=4,
        flag="--steps-per-execution",
        metavar="NUMBERS",
        help="Comma-separated: steps in one call of the compiled function (default: 1).",
        noun="number of steps per execution",
        kind=int,
        least=1,
        given="1",
        in_id="spe{}",
        phrase="{} steps per execution",
    )
    """Steps that Keras runs in one call of its compiled function."""

    page_cache: PageCache = option(
        "warm",
        since=5,
        flag="--page-cache",
        metavar="STATES",
        help=f"Comma-separated: {', '.join(get_args(PageCache))} (default: warm). cold drops the "
        "source's pages from memory before each round, as after a restart or where the data are "
        "larger than memory.",
        noun="page cache",
        choices=get_args(PageCache),
        given="warm",
        in_id="{}",
        phrase="page cache {}",
    )
    """Whether the source's pages stay where they are (`warm`) or are dropped from memory before
    each round and each first batch (`cold`)."""

    model: Model = option(
        "cnn",
        since=6,
        flag="--models",
        metavar="NAMES",
        help=f"Comma-separated: {', '.join(get_args(Model))} (default: cnn): what training cases "
        "fit. All others fit a model whose step costs nothing.",
        noun="model",
        choices=get_args(Model),
        given="cnn",
        in_id="{}",
        phrase="model {}",
    )
    """What a `train` case fits. All others fit the null model, whose step costs nothing."""

    samples: int = option(
        flag="--samples",
        metavar="NUMBERS",
        help="Comma-separated: the first samples of a real source, or the size of a synthetic one "
        "(default: 50000).",
        noun="number of samples",
        kind=int,
        least=1,
        in_id="n{}",
        phrase="{:,} samples",
    )
    """Samples in the source."""


@dataclass(frozen=True, kw_only=True)
class CaseOptions(Options):
    """The options of a case: those of a row, and those of the emulated steps that a row has."""

    step_ms: float | None = option(
        since=4,
        flag="--step-ms",
        metavar="TIMES",
        help="Comma-separated, such as 0.5,1,2,5,10: also measures every loader with an emulated "
        "accelerator, whose step takes so many milliseconds and no CPU.",
        noun="time of a step (ms)",
        kind=float,
        least=1,
        in_id="step{:g}ms",
    )
    """Milliseconds that every step waits in an `emulated` case; `None` in all others."""

    step_cpu: bool = option(
        False,
        since=4,
        flag="--step-cpu",
        metavar="",
        help="The emulated step keeps one core busy, as training does, instead of sleeping.",
        noun="switch",
        kind=bool,
        single=True,
        in_id="",
    )
    """Whether an emulated step keeps one core busy instead of sleeping."""


ROW_OPTIONS = options_of(Options)

COMPARED = tuple(name for name, each in ROW_OPTIONS.items() if each.phrase)
"""Options that rows must share to be compared: all but the loader and its workers."""

CASE_OPTIONS = options_of(CaseOptions)
