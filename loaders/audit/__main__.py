"""`keras-loader-bench audit mymodule:my_sequence --keras-backend jax`: audits any input of `fit`.

Owns: the command line. Imports no framework: each run is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from keras_loader_bench.loaders.audit.parent import AuditRun, Event, run
from keras_loader_bench.loaders.audit.target import TargetError, check_module, split_name
from keras_loader_bench.loaders.audit.terminal import clean, render
from keras_loader_bench.loaders.registry import missing_package

BACKENDS = ("jax", "tensorflow", "torch")

DESCRIPTION = (
    "Find out whether `fit`, `evaluate` and `predict` are given what an input yields. The input is "
    "read by hand twice, then a fresh model each records every batch of two epochs of a first "
    "`fit`, of a first `evaluate` and of a first `predict`; all of it in two runs with the same "
    "seed, each in a process of its own. Batches are recognised by their content."
)
EPILOG = (
    "Exit status: 0 where nothing is wrong, 1 where something is, 2 where the arguments are wrong "
    "or the input cannot be loaded."
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments; exit with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench audit", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument(
        "target",
        metavar="module:attribute",
        help="a PyDataset, tf.data dataset, torch DataLoader or Grain dataset, or a function "
        "without arguments that makes one, or a generator",
    )
    parser.add_argument("--keras-backend", choices=BACKENDS, help="default: what Keras is set to")
    parser.add_argument(
        "--no-shuffle",
        action="store_true",
        help="call `fit` with shuffle=False, so that the order is judged as well; Keras' default "
        "shuffles the batches of a PyDataset, and no other of these inputs",
    )
    parser.add_argument(
        "--steps-per-epoch",
        type=_positive_int,
        metavar="N",
        help="batches of an epoch; needed for an input without an end",
    )
    parser.add_argument(
        "--timeout",
        type=_positive_seconds,
        default=600.0,
        metavar="SECONDS",
        help="after which a run has failed; default: %(default)g",
    )
    options = parser.parse_args(arguments)
    if "" not in sys.path:  # as with `python -m`: inputs are looked for where the user is
        sys.path.insert(0, "")
    backend = options.keras_backend or os.environ.get("KERAS_BACKEND")
    try:
        module, _ = split_name(options.target)
        check_module(module.partition(".")[0])  # a package of it is not imported here
    except TargetError as error:
        parser.error(clean(str(error)))
    if backend in BACKENDS and (missing := missing_package((backend,))):
        parser.error(missing)
    return options


def audit(options: argparse.Namespace) -> tuple[str, int]:
    """Make the runs; return the text for the terminal and the exit status."""
    settings = {
        "target": options.target,
        "steps": options.steps_per_epoch,
        "shuffle": not options.no_shuffle,
    }
    environment = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    if options.keras_backend:
        environment["KERAS_BACKEND"] = options.keras_backend
    runs: list[AuditRun] = []
    for number in (1, 2):
        with _Progress(f"run {number} of 2") as progress:
            runs.append(
                run(
                    "keras_loader_bench.loaders.audit.child",
                    settings,
                    environment=environment,
                    timeout_s=options.timeout,
                    on_event=progress.show,
                )
            )
        if not runs[-1].event("end") or runs[-1].event("raised"):
            break  # a second run would tell the same
    return render(options.target, runs, options.timeout)


class _Progress:
    """A line about the run that is under way, where somebody may be watching."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = sys.stderr.isatty()
        self._began = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def show(self, event: Event) -> None:
        """Say which stage has begun."""
        if self._shown and event["event"] == "stage":
            seconds = time.monotonic() - self._began
            line = f"\r\033[K{self._name}, {seconds:.0f} s: {event['name']} ..."
            print(line, end="", file=sys.stderr, flush=True)


def _positive_int(text: str) -> int:
    value = int(text) if text.lstrip("+-").isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got `{text}`.")
    return value


def _positive_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got `{text}`.")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Audit an input and print the result; return the exit status."""
    options = parse(arguments)
    try:
        text, exit_status = audit(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(text, file=sys.stderr if exit_status == 2 else sys.stdout)
    return exit_status


if __name__ == "__main__":
    sys.exit(main())
