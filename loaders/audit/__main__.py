"""`keras-loader-bench audit module:attribute`: audits any input of `fit`.

Imports no framework: each run is a separate process.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.audit.inputs.target import TargetError, check_module, split_name
from keras_loader_bench.loaders.audit.parent import AuditRun, run
from keras_loader_bench.loaders.audit.progress import Progress
from keras_loader_bench.loaders.audit.ranks import CHILD, run_alone, run_ranks, succeeded
from keras_loader_bench.loaders.audit.texts.ranks_report import render_ranks
from keras_loader_bench.loaders.audit.texts.terminal import clean, render
from keras_loader_bench.loaders.launchers import (
    LAUNCHERS,
    LauncherError,
    OwnRank,
    RankError,
    launcher,
)
from keras_loader_bench.loaders.registry import BACKENDS, missing_package

PATIENCE = 10
"""Which part of the time limit an input without a length is read for."""

DESCRIPTION = (
    "Check whether `fit`, `evaluate` and `predict` get every batch that an input yields. The "
    "input is read twice without Keras. Then fresh models record every batch of two epochs of "
    "`fit`, of `evaluate` and of `predict`. All this is done in two processes with the same seed. "
    "Batches are recognised by their content."
)
EPILOG = (
    "Exit status: 0 without problems, 1 with problems, 2 if the arguments are wrong or the input "
    "cannot be loaded, 3 if its contents are random, so that only numbers, shapes, dtypes and "
    "labels could be checked. `keras-loader-bench audit --matrix` is about Keras itself: what it "
    "feeds a model from inputs of all kinds, under all conditions; see its `--help`."
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments; exit with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench audit", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument(
        "target",
        metavar="module:attribute",
        help="a PyDataset, tf.data dataset, torch DataLoader, Grain dataset or arrays `(x, y)`, or "
        "a function without arguments that returns one, or a generator",
    )
    parser.add_argument(
        "--keras-backend",
        choices=BACKENDS,
        help="default: the backend that the module chooses, or else that Keras is set to",
    )
    parser.add_argument(
        "--no-shuffle",
        action="store_true",
        help="call `fit` with shuffle=False and check the order too; by default, Keras shuffles "
        "the batches of a PyDataset (but not of other inputs)",
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=_positive_int,
        metavar="N",
        help="batches per epoch; needed for an endless input",
    )
    parser.add_argument(
        "--batches",
        type=_positive_int,
        metavar="N",
        help="look at the first N batches of each pass only: for a large or endless input that "
        "has the same order in every epoch",
    )
    parser.add_argument(
        "--samples",
        type=_positive_int,
        metavar="N",
        help="samples that an epoch should have: batches that leave some out are a problem",
    )
    parser.add_argument(
        "--identify",
        metavar="FIELD",
        help="recognise samples by this field alone, for random augmentation: `y`, `x/id` of a "
        "dictionary, or a function `module:function`, which is given a dictionary of the batch's "
        "arrays (`x`, `y`) and returns one value per sample",
    )
    parser.add_argument(
        "--timeout",
        type=_positive_seconds,
        default=600.0,
        metavar="SECONDS",
        help="time limit of each stage (loading, both direct readings, `fit`, `evaluate`, "
        "`predict`), longer where the direct readings were slow; an input that does not say how "
        f"long it is counts as endless after 1/{PATIENCE} of it; default: %(default)g",
    )
    parser.add_argument(
        "--ranks",
        type=_positive_int,
        metavar="N",
        help="train on the input in N processes at once, which have RANK and WORLD_SIZE as from "
        "torchrun, and check that together they train on every sample once: for an input that "
        "each rank reads its own share of",
    )
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="local",
        help="how ranks are started: local, processes of this machine; ray, on the nodes of the "
        "cluster of RAY_ADDRESS, or of one that is started here; env, where torchrun, srun or "
        "mpirun has started this command, once for each rank (default: %(default)s)",
    )
    parser.add_argument(
        "--gather",
        type=Path,
        metavar="FOLDER",
        help="with `--launcher env`: a folder that all ranks see, in which they meet",
    )
    options = parser.parse_args(arguments)
    if (options.launcher == "env") != (options.gather is not None):
        parser.error("--launcher env needs --gather FOLDER, and nothing else does.")
    if options.launcher == "env" and options.ranks:
        parser.error("--launcher env has as many ranks as WORLD_SIZE says; leave out --ranks.")
    if options.launcher == "ray" and not options.ranks:
        parser.error("--launcher ray starts ranks; add --ranks N.")
    if options.launcher == "ray" and (missing := missing_package(("ray",))):
        parser.error(missing)
    if options.batches and options.steps_per_epoch:
        parser.error("--batches looks at the start of each pass, so --steps-per-epoch is not used.")
    if options.ranks == 1:
        parser.error("--ranks must be at least 2, got 1; leave it out for one process.")
    if "" not in sys.path:  # as with `python -m`: import inputs from the current folder
        sys.path.insert(0, "")
    try:
        module, _ = split_name(options.target)
        check_module(module.partition(".")[0])  # without importing it here
    except TargetError as error:
        parser.error(clean(str(error)))
    backend = options.keras_backend
    if backend and (missing := missing_package((backend,))):
        parser.error(missing)
    return options


def audit(options: argparse.Namespace) -> tuple[str, int]:
    """Run the audit; return the text for the terminal and the exit status."""
    settings = {
        "target": options.target,
        "backend": options.keras_backend,
        "steps": options.steps_per_epoch,
        "batches": options.batches,
        "patience_s": options.timeout / PATIENCE,
        "shuffle": not options.no_shuffle,
        "samples": options.samples,
        "identify": options.identify,
    }
    environment = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    if options.keras_backend:
        environment["KERAS_BACKEND"] = options.keras_backend
    how: dict[str, Any] = {"environment": environment, "timeout_s": options.timeout}
    own = OwnRank.of(os.environ, options.gather) if options.gather else None
    if own and own.rank:
        if own.serve():
            return f"rank {own.rank} of {own.ranks}: rank 0 has the result", 0
        return f"rank {own.rank} of {own.ranks}: rank 0 ended without a word", 1
    if count := own.ranks if own else options.ranks:
        with launcher(options.launcher, own) as started:
            alone = run_alone(settings, count, **how)
            good = succeeded(alone)
            ranks = run_ranks(settings, count, **how, launcher=started) if good else []
        return render_ranks(options.target, alone, ranks, options.timeout)
    runs: list[AuditRun] = []
    for number in (1, 2):
        with Progress(f"run {number} of 2") as progress:
            runs.append(run(CHILD, settings, **how, watch=progress.watch))
        if not runs[-1].event("end") or runs[-1].event("raised"):
            break  # a second run would fail in the same way
    return render(options.target, runs, options.timeout)


def _positive_int(text: str) -> int:
    value = int(text) if text.lstrip("+-").isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got `{text}`")
    return value


def _positive_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got `{text}`")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Audit an input and print the result; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--matrix" in arguments:
        from keras_loader_bench.loaders.conformance.__main__ import main as conformance

        return conformance(arguments)
    options = parse(arguments)
    try:
        text, exit_status = audit(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (RankError, LauncherError) as error:
        print(f"error: {clean(str(error))}", file=sys.stderr)
        return 2
    print(text, file=sys.stderr if exit_status == 2 else sys.stdout)
    return exit_status


if __name__ == "__main__":
    sys.exit(main())
