"""The process of a run: loads the input, runs the passes and reports.

Started by `loaders.audit.__main__`; whatever is raised is reported to it. Where no backend is asked
for, the user's module is imported before Keras, because it may choose one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.audit.batches.identify import load_identify
from keras_loader_bench.loaders.audit.batches.records import BatchRecord
from keras_loader_bench.loaders.audit.events import (
    Report,
    end_at_once,
    reporting,
    running_keras,
)
from keras_loader_bench.loaders.audit.inputs.seeds import SEED, seed_before_keras
from keras_loader_bench.loaders.audit.inputs.target import TargetError, check_backend, load_target
from keras_loader_bench.loaders.audit.passes import AuditedInput
from keras_loader_bench.loaders.system.text import (
    message_of,
    one_line,
    shown,
    traceback_of,
)

HERE = Path(__file__).parent

SENT_BYTES = 8
"""Of the digest of a sample that is reported."""

SENT_SAMPLES = 20_000
"""About how many samples one event has."""


def _environment(seed: int | None) -> dict[str, str]:
    """Import Keras and its backend, seed all generators, and return what is running."""
    import keras

    if seed is not None:
        keras.utils.set_random_seed(seed)
    return running_keras()


def run(settings: dict[str, Any], report: Report) -> None:
    """Do one run, and report it."""
    subject: Any = None

    def succeeds(stage: str, do: Callable[[], Any]) -> bool:
        if subject:
            subject.counter.begin()
        report("stage", name=stage, may_take_s=subject.may_take_s if subject else 0)
        try:
            do()
        except TargetError as error:
            report("refused", message=message_of(error))
            return False
        except Exception as error:
            innermost = error.__traceback__
            while (
                innermost
                and innermost.tb_next
                and Path(innermost.tb_frame.f_code.co_filename).parent == HERE
            ):
                innermost = innermost.tb_next
            report(
                "raised",
                stage=stage,
                type=shown(type(error).__name__),
                message=one_line(message_of(error)),
                batches=subject.counter.batches if subject else 0,
                traceback=traceback_of(error, innermost),
            )
            return False
        return True

    asked, seed = settings["backend"], settings.get("seed", SEED)

    def import_keras() -> None:
        report("environment", **_environment(seed))

    def load() -> None:
        nonlocal subject
        target = load_target(settings["target"])
        names = ("steps", "batches", "shuffle", "patience_s", "samples", "ordered")
        options = {name: settings[name] for name in names if name in settings}
        if settings.get("send_samples"):
            options["seen"] = partial(send_samples, report)
        identify = load_identify(settings["identify"]) if settings["identify"] else None
        subject = AuditedInput(target, report, identify=identify, **options)
        if asked:
            check_backend(target, asked)

    stages = [("keras", import_keras), ("load", load)]
    if not asked:
        stages.reverse()
    seed_before_keras(seed)
    stages.append(("by hand", lambda: subject.read_by_hand()))
    if all(succeeds(stage, do) for stage, do in stages):
        for stage in settings.get("passes", ("fit", "evaluate", "predict")):
            succeeds(stage, getattr(subject, stage))
        report("end")


def send_samples(report: Report, name: str, batches: Sequence[BatchRecord]) -> None:
    """Report the samples of every batch of a pass, some batches at a time.

    Each is the beginning of its digest, in hexadecimal digits: two of a million different samples
    share one in one of 10 million inputs.
    """
    part: list[list[str]] = []
    for number, batch in enumerate(batches, start=1):
        part.append([sample[:SENT_BYTES].hex() for sample in batch.samples])
        if number == len(batches) or sum(map(len, part)) >= SENT_SAMPLES:
            report("samples", name=name, last=number == len(batches), batches=part)
            part = []


def main(settings: str) -> None:
    """Do one run, and report it."""
    with reporting() as report:
        run(json.loads(settings), report)


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_at_once()
