"""Answers questions to pytest, each in a fork of one process that has imported what they share.

A pytest of its own takes a second to start and tenths of one to answer. A question is a line of
standard input, arguments and environment as JSON; its answer is one of standard output.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

SHARED = ("bench.parent.session", "bench.parent.settings", "bench.plan.command_line")


class Asking:
    """The process that is asked; it begins with the first question."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen | None = None

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess:
        """What `python -m pytest` with these arguments says in the folder."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdin
        assert self.process.stdout
        question = {"arguments": arguments, "environment": dict(os.environ)}
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(["pytest", *arguments], **answer)

    def end(self) -> None:
        if self.process is None:
            return
        assert self.process.stdin
        assert self.process.stdout
        # What was forked meanwhile and lives on has a copy of the pipe: its end may never come.
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def run_pytest(arguments: list[str], environment: dict[str, str]) -> int:
    os.environ.clear()
    os.environ.update(environment)
    try:
        return pytest.main(arguments)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def answer(question: dict) -> dict:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os._exit(run_pytest(**question))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return {"returncode": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1]}


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    for name in SHARED:
        importlib.import_module(f"keras_loader_bench.{name}")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
