"""The process of a run: loads the input, runs the passes and reports.

Started by `loaders.audit.__main__`; whatever is raised is reported to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.audit.passes import AuditedInput, Report
from keras_loader_bench.loaders.audit.target import TargetError, load_target
from keras_loader_bench.loaders.system.process_tree import end_with_parent

SEED = 0

HERE = Path(__file__).parent


def _environment() -> dict[str, str]:
    """Import Keras and its backend, seed all generators, and return what is running."""
    with contextlib.suppress(Exception):
        import torch  # before TensorFlow, wherever that comes from: a process needs that order
    import keras

    keras.utils.set_random_seed(SEED)
    if "torch" in sys.modules:
        torch.manual_seed(SEED)
    backend = keras.backend.backend()
    version = getattr(sys.modules.get(backend), "__version__", "")
    return {"keras": keras.__version__, "backend": backend, "version": version}


def run(settings: dict[str, Any], report: Report) -> None:
    """Do one run, and report it."""

    def succeeds(stage: str, do: Callable[[], Any]) -> bool:
        report("stage", name=stage)
        try:
            do()
        except TargetError as error:
            report("refused", message=str(error))
            return False
        except Exception as error:
            message = next(iter(str(error).strip().splitlines()), "")
            shown = error.__traceback__
            while (
                shown and shown.tb_next and Path(shown.tb_frame.f_code.co_filename).parent == HERE
            ):
                shown = shown.tb_next
            text = "".join(traceback.format_exception(type(error), error, shown))
            report(
                "raised", stage=stage, type=type(error).__name__, message=message, traceback=text
            )
            return False
        return True

    subject: Any = None

    def load() -> None:
        nonlocal subject
        target = load_target(settings["target"])
        subject = AuditedInput(target, settings["steps"], settings["shuffle"], report)

    if (
        succeeds("keras", lambda: report("environment", **_environment()))
        and succeeds("load", load)
        and succeeds("by hand", subject.read_by_hand)
    ):
        for stage in ("fit", "evaluate", "predict"):
            succeeds(stage, getattr(subject, stage))
        report("end")


def main(path: str, settings: str) -> None:
    """Do one run; its events go to a file, one a line."""
    end_with_parent()
    with Path(path).open("a", encoding="utf-8") as events:

        def report(event: str, **fields: Any) -> None:
            events.write(json.dumps({"event": event, **fields}) + "\n")
            events.flush()

        run(json.loads(settings), report)


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Threads and processes of the input may not want to end; everything has been reported.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
