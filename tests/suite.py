"""Runs the suite as a user does, in a process of its own.

A run that many tests look at is a `Job` of their modules. All jobs of the chosen modules run before
the first of their tests, two at a time, because most of their time goes into starting frameworks on
one core and waiting for timeouts. So none of them runs beside a test that measures.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Container
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from conftest import PACKAGE, PROJECT, TESTS
from parallel import SIDE_BY_SIDE, alone_with

from keras_loader_bench.bench.record.reader import read_run
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.loaders.registry import missing_package

QUICKEST = "jax" if not missing_package(("jax",)) else "tensorflow"
"""The backend that starts soonest, for what is the same on any."""

TINY = ("--quick", "--samples", "512", "--source", "synthetic")


def readme_arguments(comment: str) -> list[str]:
    """The arguments of pytest in the README's line that ends in a comment."""
    readme = (PROJECT / "README.md").read_text()
    (line,) = re.findall(rf"^ *(\S.*?) *# {comment}$", readme, re.MULTILINE)
    install, _, command = line.partition(" && ")
    assert install.startswith("pip install -e "), line
    name, *arguments = command.split()
    assert name == "pytest"
    return arguments


def main_job_arguments() -> list[str]:
    """Those of the README's main job, and nothing that would be left in the checkout."""
    return ["-p", "no:cacheprovider", *readme_arguments("the main job")]


def start(*options: str, results: Path, **environment: str) -> subprocess.Popen:
    """Start the main job; its output is text, with standard error in it."""
    path = [environment.get("PYTHONPATH", str(PACKAGE)), str(PACKAGE)]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", *main_job_arguments()),
            *("--results-dir", str(results), *TINY, *options),
        ],
        cwd=PROJECT,
        env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@dataclass
class Finished:
    exit_status: int
    output: str
    run: Run
    folder: Path
    left: list[psutil.Process] = field(default_factory=list)
    """Processes of the run that outlived it."""

    report: str = ""
    """`report.md` as the run left it."""

    def case(self, loader: str) -> CaseRecord:
        (case,) = [case for case in self.run.cases if case.case.loader == loader]
        return case


def finish(process: subprocess.Popen, results: Path) -> Finished:
    output, _ = process.communicate()
    path = results / "run.json"
    assert path.exists(), output
    return Finished(process.returncode, output, read_run(results), results)


def run(*options: str, results: Path, **environment: str) -> Finished:
    return finish(start(*options, results=results, **environment), results)


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


class Job:
    """A run of the suite that the tests of a module share; a fixture returns it `Finished`.

    Args:
        module: the name of the module.
        options: of the main job; `FOLDER` stands for a folder of the job's own.
        needs: packages without which its tests are skipped.
        environment: variables, beside a KERAS_HOME of its own.
    """

    every: ClassVar[list["Job"]] = []

    @classmethod
    def runners(cls, chosen: Container[str]) -> set[str]:
        """The first of each job's modules of those that are chosen: all others take its results."""
        found = (next(filter(chosen.__contains__, job.modules), None) for job in cls.every)
        return {module for module in found if module}

    def __init__(
        self, module: str, *options: str, needs: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.modules, self.options, self.environment = [module], options, environment
        self.reason = missing_package(needs)
        self.process: subprocess.Popen | None = None
        self.result: Future[Finished] | None = None
        self.every.append(self)

    def run(self, folder: Path) -> Finished:
        options = [option.replace("FOLDER", str(folder)) for option in self.options]
        variables = self.environment | {"KERAS_HOME": str(folder / "keras_home")}
        self.process = start(*options, results=folder / "run", **variables)
        done = finish(self.process, folder / "run")
        done.left = processes_of(folder / "keras_home")
        done.report = (done.folder / "report.md").read_text()
        return done

    def run_once(self, shared: Path) -> Finished:
        """Run it, or take what another process of the tests has run.

        Args:
            shared: a folder of all these processes.
        """
        folder = shared / f"job-{Job.every.index(self)}-{self.modules[0]}"
        folder.mkdir(exist_ok=True)
        with alone_with(folder):
            if not (folder / "done").exists():
                try:
                    done = self.run(folder)
                except BaseException:  # Ctrl-C does not reach the session of a job
                    if self.process and self.process.poll() is None:
                        self.process.send_signal(signal.SIGINT)
                    raise
                (folder / "done").write_text(json.dumps([done.exit_status, done.output]))
                return done
        exit_status, output = json.loads((folder / "done").read_text())
        done = Finished(exit_status, output, read_run(folder / "run"), folder / "run")
        done.report = (done.folder / "report.md").read_text()
        return done

    def fixture(self, *modules: str):
        """Return the fixture, for more modules than the job's own where they are named."""
        self.modules.extend(modules)

        @pytest.fixture(scope="module")
        def finished(
            request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
        ) -> Finished:
            if self.reason:
                pytest.skip(self.reason)
            if self.result is None and SIDE_BY_SIDE:  # other processes run the other modules
                self.result = Future()
                self.result.set_result(self.run_once(tmp_path_factory.getbasetemp().parent))
            elif self.result is None:
                modules = {item.module.__name__ for item in request.session.items}
                chosen = [job for job in Job.every if not modules.isdisjoint(job.modules)]
                run_jobs(chosen, tmp_path_factory)
            assert self.result
            return self.result.result()

        return finished


def run_jobs(jobs: list[Job], folders: pytest.TempPathFactory) -> None:
    """Run jobs two at a time, and wait for all."""
    jobs = [job for job in jobs if not job.reason]
    with ThreadPoolExecutor(2) as pool:
        try:
            for job in jobs:
                job.result = pool.submit(job.run, folders.mktemp("job"))
            wait([job.result for job in jobs if job.result])
        except BaseException:  # Ctrl-C does not reach the session of a job
            pool.shutdown(wait=False, cancel_futures=True)
            for job in jobs:
                if job.process and job.process.poll() is None:
                    job.process.send_signal(signal.SIGINT)
            raise


def faulty(module: str, *options: str) -> Job:
    """A run of loaders that go wrong."""
    return Job(module, "--case-timeout", "25", *options, PYTHONPATH=str(TESTS / "faulty"))


main_job = Job(
    "test_command_line",
    *("--loaders", "sequence,tuned_tf_data", "--rounds", "2"),
    *("--benchmark-json", "FOLDER/benchmark.json"),
)
"""The README's on a tiny source, through all benchmarks, for two loaders."""
