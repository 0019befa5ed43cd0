"""The process of one case: answers requests until its parent has no more.

Requests come on standard input and answers leave on what was standard output, one JSON object a
line: `{"call": method, "args": {...}}` -> `{"ok": value}` or `{"error": {...}}`. Everything else
that is printed goes to standard error, which the parent has made a file.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.sensors.budget import is_refused_allocation
from keras_loader_bench.loaders.system.process_tree import die_first, end_with_parent


def serve(worker: Worker, answers: Any) -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = json.dumps({"ok": getattr(worker, request["call"])(**request["args"])})
        except Exception as error:
            described = {
                "type": type(error).__name__,
                "message": str(error),
                "traceback": traceback.format_exc(),
                "refused": is_refused_allocation(error),
            }
            answer = json.dumps({"error": described})
        answers.write(answer + "\n")
        answers.flush()


def run_case(settings: dict[str, Any]) -> None:
    """Serve one case on this process' standard input and output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what frameworks print must not mix with the answers
    # Line by line, or what a loader printed last would be lost with its process.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    end_with_parent()
    die_first()
    serve(Worker(**settings), answers)


if __name__ == "__main__":
    run_case(json.loads(sys.argv[1]))
