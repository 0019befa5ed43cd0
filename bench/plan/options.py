"""The table of the options of a case, from the command line to `run.json` and the reports.

A new option is one field here, or in a class that `Options` is made of, plus the code that uses it.
The field gives it a flag, a place in the ids of cases, in `run.json` and in every CSV file, and
words in reports. Rows that differ in an option are not compared, unless it is the loader or its
workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from keras_loader_bench.bench.plan.image_options import OfImages
from keras_loader_bench.bench.plan.option import (
    Device,
    JitCompile,
    PageCache,
    PixelForm,
    Precision,
    option,
    options_of,
)
from keras_loader_bench.bench.plan.rank_options import OfRanks
from keras_loader_bench.loaders.registry import BACKENDS


@dataclass(frozen=True, kw_only=True)
class OfEveryCase:
    """Options that do not depend on the source; reports name them first."""

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
        help="Comma-separated loaders (default: all except those that can hang).",
        noun="loader",
        in_id="{}",
    )
    num_workers: int = option(
        0,
        since=2,
        flag="--num-workers",
        metavar="NUMBERS",
        help="Comma-separated numbers of threads or processes that prepare batches (default: 0).",
        noun="number of workers",
        kind=int,
        least=0,
        given="0",
        in_id="w{}",
        always_in_id=True,
    )
    """See `loaders.LoaderOptions`; 0 for a loader without workers."""

    batch_size: int = option(
        flag="--batch-sizes",
        metavar="NUMBERS",
        help="Comma-separated batch sizes (default: 64).",
        noun="batch size",
        kind=int,
        least=1,
        given="64",
        in_id="b{}",
        phrase="batch size {}",
        own=0,
        changes_batches=True,
    )
    """0 for a user's input, which makes its own batches."""

    pixels: PixelForm = option(
        flag="--pixels",
        metavar="FORMS",
        help="float32, uint8 or both (default: float32).",
        noun="pixels",
        choices=("float32", "uint8"),
        given="float32",
        in_id="{}",
        phrase="{}",
        own="own",
        changes_batches=True,
    )
    device: Device = option(
        "auto",
        since=4,
        flag="--device",
        metavar="NAME",
        help="auto, cpu, gpu (default: auto, an accelerator if the backend sees one).",
        noun="device",
        choices=get_args(Device),
        single=True,
        given="auto",
        in_id="{}",
        phrase="device {}",
    )
    """The device that the backend may use; `auto`: an accelerator if it sees one."""

    precision: Precision = option(
        "float32",
        since=4,
        audited=False,
        flag="--precision",
        metavar="POLICIES",
        help=f"Comma-separated: {', '.join(get_args(Precision))} (default: float32).",
        noun="precision",
        choices=get_args(Precision),
        given="float32",
        in_id="{}",
        phrase="policy {}",
    )
    """Keras' dtype policy of the model. It does not change the batches."""

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
    """Whether Keras compiles the step (XLA, `torch.compile`); `auto`: Keras decides."""

    steps_per_execution: int = option(
        1,
        since=4,
        flag="--steps-per-execution",
        metavar="NUMBERS",
        help="Comma-separated: steps per call of the compiled function (default: 1).",
        noun="number of steps per execution",
        kind=int,
        least=1,
        given="1",
        in_id="spe{}",
        phrase="{} steps per execution",
    )
    """Steps per call of Keras' compiled function."""

    page_cache: PageCache = option(
        "warm",
        since=5,
        audited=False,
        flag="--page-cache",
        metavar="STATES",
        help="Comma-separated: warm, cold (default: warm). cold drops the data before each round.",
        noun="page cache",
        choices=get_args(PageCache),
        given="warm",
        in_id="{}",
        phrase="page cache {}",
    )
    """Whether the source stays in the page cache, or is dropped before each round (`cold`)."""

    model: str = option(
        "cnn",
        since=6,
        audited=False,
        flag="--models",
        metavar="NAMES",
        help="Comma-separated: cnn, mlp (default: cnn): what training cases fit.",
        noun="model",
        choices=("cnn", "mlp"),
        given="cnn",
        in_id="{}",
        phrase="model {}",
    )
    """What a `train` case fits, for an input perhaps a user's model, `module:attribute`."""


@dataclass(frozen=True, kw_only=True)
class Options(OfRanks, OfImages, OfEveryCase):
    """The options that identify a row of a report, in the order in which reports name them."""

    steps: int = option(
        0,
        since=8,
        flag="--steps",
        metavar="N",
        help="With --input: batches per epoch; needed for an endless input (default: all).",
        noun="number of batches per epoch",
        kind=int,
        least=0,
        in_id="steps{}",
        phrase="{} batches per epoch",
    )
    """Batches per epoch of a user's input; 0: all it has."""

    remedy: str = option(
        "none",
        since=8,
        noun="remedy",
        in_id="{}",
        phrase="{}",
    )
    """What a user's input is tried with, a key of `bench.plan.remedies.REMEDIES`."""

    samples: int = option(
        flag="--samples",
        metavar="NUMBERS",
        help="Comma-separated: the first samples of a source, or how many are made (default: all).",
        noun="number of samples",
        kind=int,
        least=1,
        in_id="n{}",
        phrase="{:,} samples",
        own=0,
        changes_batches=True,
    )
    """Number of samples in the source; 0 for a user's input."""


@dataclass(frozen=True, kw_only=True)
class CaseOptions(Options):
    """The options of a case: those of a row and those of emulated steps."""

    step_ms: float | None = option(
        since=4,
        audited=False,
        flag="--step-ms",
        metavar="TIMES",
        help="Comma-separated: also measure loaders with steps that wait so many milliseconds.",
        noun="time of a step (ms)",
        kind=float,
        least=1,
        in_id="step{:g}ms",
    )
    """Milliseconds that every step waits in an `emulated` case; `None` in all others."""

    step_cpu: bool = option(
        False,
        since=4,
        audited=False,
        flag="--step-cpu",
        help="Emulated steps keep one core busy instead of sleeping.",
        noun="switch",
        kind=bool,
        single=True,
    )
    """Whether an emulated step keeps one core busy instead of sleeping."""


ROW_OPTIONS = options_of(Options)

COMPARED = tuple(name for name, each in ROW_OPTIONS.items() if each.phrase)
"""Options that compared rows share: all except the loader and its workers."""

CASE_OPTIONS = options_of(CaseOptions)
