"""The process of one case: answers requests until its parent has no more.

Requests come on standard input and answers leave on what was standard output, one JSON object a
line: `{"id": 1, "call": method, "args": {...}}` -> `{"id": 1, "ok": value}` or `{"id": 1, "error":
{...}}`, and once a second `{"steps": number}`, the batches that models have taken so far.
Everything else that is printed goes to standard error, which the parent has made a file. Nothing
can be read from standard input.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from typing import Any

from keras_loader_bench.bench.child.answers import Answers
from keras_loader_bench.bench.child.case_process import CaseProcess
from keras_loader_bench.bench.child.inputs.input_worker import InputWorker
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.sensors.budget import is_refused_allocation
from keras_loader_bench.loaders.system.process_tree import (
    adopt_orphans,
    die_first,
    end_with_parent,
)
from keras_loader_bench.loaders.system.text import (
    message_of,
    shown,
    traceback_of,
    without_traceback,
)


def serve(worker: CaseProcess, requests: Any, answers: Answers) -> None:
    """Answer requests until there are no more."""
    for line in requests:
        request = json.loads(line)
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            answers.send(reply | {"ok": getattr(worker, request["call"])(**request["args"])})
        except Exception as error:
            described = {
                "type": shown(type(error).__name__),
                "message": without_traceback(message_of(error)),
                "traceback": traceback_of(error, error.__traceback__),
                "refused": is_refused_allocation(error),
            }
            answers.send(reply | {"error": described})


def run_case(settings: dict[str, Any]) -> None:
    """Serve one case on this process' standard input and output."""
    end_with_parent()
    adopt_orphans()
    die_first()
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = Answers(os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a loader that asks for input must not be given requests
    os.close(nothing)
    os.dup2(2, 1)  # what frameworks print must not mix with the answers
    # Line by line, or what a loader printed last would be lost with its process.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, file=2)  # see `bench.parent.silence`
    answers.begin()
    kind = InputWorker if "about" in settings else Worker
    serve(kind(**settings, on_batch=answers.step), requests, answers)


if __name__ == "__main__":
    run_case(json.loads(sys.argv[1]))
