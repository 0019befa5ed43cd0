"""The process that tries one Keras on one backend: makes inputs, runs the passes and reports.

Started by `loaders.conformance.trials`; its standard output is for events.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import re
import sys
import warnings
from dataclasses import asdict
from typing import Any

from keras_loader_bench.loaders.audit.events import (
    Report,
    end_at_once,
    reporting,
    running_keras,
)
from keras_loader_bench.loaders.conformance.causes import KNOWN
from keras_loader_bench.loaders.conformance.expected import (
    PASSES,
    RUNS,
    Found,
    expected,
    judged,
)
from keras_loader_bench.loaders.conformance.older_keras import supply_view
from keras_loader_bench.loaders.conformance.setups import Setup
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.system.text import message_of, one_line, shown

_VARYING = re.compile(r" at 0x[0-9a-f]+| \(pid \d+\)|(?<=Unrecognized data type): x=.*")
"""What differs between processes, and the representation of an input."""

_IN_A_CALL = re.compile(r"Exception encountered when calling .*\n\n\\x1b\[1m(.+?)(\\x1b\[0m)?\n")
"""What Keras makes of an error that comes while a model is called: bold, with its arguments."""


def environment() -> dict[str, str]:
    """Import Keras and its backend, and return what is running."""
    if missing_package(("torch",)) is None:
        import torch  # noqa: F401  # after TensorFlow it does not load
    about = running_keras()
    supply_view()
    return about


def try_passes(
    setup: Setup,
    names: list[str],
    runs: int,
    undecided_runs: int,
    data_dir: str | None,
    found: Report,
) -> None:
    """Run passes over the input of a setup, and report the verdict on each, of each run.

    Args:
        setup: the conditions.
        names: of the passes.
        runs: how many times.
        undecided_runs: how many times where some runs are right and others are not.
        data_dir: where CIFAR-10 lies, if it does.
        found: called with the name of a pass and what was found.
    """
    from keras_loader_bench.loaders.conformance.inputs import NotThereError, input_of
    from keras_loader_bench.loaders.conformance.passes import Trial

    wanted = {name: expected(setup, name) for name in names}
    calls = [[name for name in call if wanted.get(name)] for call in RUNS]
    trial: Trial | None = None
    for call in filter(None, calls):
        right: dict[str, set[bool]] = {name: set() for name in call}
        wanted_runs = runs if call[0] != PASSES[-1] else 1  # that one takes long, and is no race
        for run in range(undecided_runs):
            if run >= wanted_runs and all(len(each) == 1 for each in right.values()):
                break
            found("stage", name=call[0], may_take_s=0)
            try:
                trial = trial or Trial(setup, input_of(setup, data_dir))
                came = trial.run(call)
            except Exception as error:
                text = line_of(error)
                refused = text.startswith("ValueError: `steps_per_execution` must be 1")
                there = not (refused or isinstance(error, NotThereError))
                cell = asdict(Found("error" if there else "not applicable", text=text))
                cells = dict.fromkeys(call, cell)
            else:
                cells = {
                    name: asdict(judged(want, came.get(name, [])))
                    for name in call
                    if (want := wanted[name])
                }
            for name, cell in cells.items():
                right[name].add(cell["verdict"] == "identical")
                found("cell", **{"pass": name}, **cell)


def let_go(setup: Setup) -> None:
    """Let go of what a setup has left: models, and workers of a `DataLoader`.

    Torch waits for each worker of an iterator that nobody has read to its end: for 5 seconds, where
    the garbage collector is what finds it. A pool of Keras' own would start its workers again.
    """
    import keras

    if "DataLoader" in setup.kind:
        for worker in multiprocessing.active_children():
            if "Pool" not in worker.name:
                worker.terminate()
    keras.utils.clear_session()
    gc.collect()


def line_of(error: BaseException) -> str:
    """Return the kind of an error and the first line of its message, the same in every process."""
    message = message_of(error)
    if within := _IN_A_CALL.match(message):
        message = within[1]
    text = _VARYING.sub("", one_line(message))
    return shown(f"{type(error).__name__}: {text}")[:200]


def main(settings_text: str) -> None:
    """Do the work, and end."""
    with reporting() as report:
        settings = json.loads(settings_text)
        report("stage", name="import", may_take_s=settings["import_s"])
        about = environment()
        report("environment", **about)
        gc.freeze()  # or each collection goes through all that the frameworks are made of
        for key in settings["mends"]:
            for mend in next(cause.mends for cause in KNOWN if cause.key == key):
                if about["backend"] in mend.backends:
                    mend.apply()
        # That an input has run out of data is one of the verdicts.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        for number, (conditions, names, runs) in enumerate(settings["work"]):
            setup = Setup(**conditions)

            def found(event: str, *, work: int = number, **fields: Any) -> None:
                report(event, work=work, **fields)

            limits = (runs, settings["undecided_runs"])
            try_passes(setup, names, *limits, settings["data_dir"], found)
            let_go(setup)
            report("done", work=number)
        report("end")


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_at_once()
