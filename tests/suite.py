"""Runs the suite as a user does, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from conftest import PROJECT, TESTS

TINY = ("--quick", "--samples", "512", "--source", "synthetic")


def readme_command(comment: str) -> list[str]:
    """The pytest part of the README's line that ends in a comment."""
    readme = (PROJECT / "README.md").read_text()
    (line,) = re.findall(rf"^ *(\S.*?) *# {comment}$", readme, re.MULTILINE)
    install, _, command = line.partition(" && ")
    assert install.startswith("pip install -e "), line
    name, *arguments = command.split()
    assert name == "pytest"
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


def start(*options: str, results: Path, faulty: bool = False) -> subprocess.Popen:
    """Start the main job; its output is text, with standard error in it."""
    env = dict(os.environ)
    if faulty:
        env["PYTHONPATH"] = str(TESTS / "faulty")
    return subprocess.Popen(
        [*readme_command("the main job"), "--results-dir", str(results), *TINY, *options],
        cwd=PROJECT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@dataclass
class Finished:
    exit_status: int
    output: str
    run: dict
    folder: Path
    left: list[psutil.Process] = field(default_factory=list)
    report: str = ""

    def case(self, loader: str) -> dict:
        (case,) = [case for case in self.run["cases"] if case["case"]["loader"] == loader]
        return case


def run(*options: str, results: Path, faulty: bool = False) -> Finished:
    process = start(*options, results=results, faulty=faulty)
    output, _ = process.communicate()
    path = results / "run.json"
    assert path.exists(), output
    return Finished(process.returncode, output, json.loads(path.read_text()), results)


def processes_of(keras_home: Path) -> list[psutil.Process]:
    """Living processes that were started with this KERAS_HOME, and are not this one."""
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("KERAS_HOME")
        except psutil.Error:
            continue
        if home == str(keras_home) and process.pid != os.getpid():
            found.append(process)
    return found


def run_faulty(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Finished:
    """Run loaders that go wrong, with a home of its own; `left` and `report` are filled."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        home = tmp_path_factory.mktemp("keras_home")
        monkeypatch.setenv("KERAS_HOME", str(home))
        results = tmp_path_factory.mktemp("results") / "run"
        done = run(*options, "--case-timeout", "25", results=results, faulty=True)
        done.left = processes_of(home)
        done.report = (done.folder / "report.md").read_text()
    return done
