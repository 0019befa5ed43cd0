"""pytest's side: options, cases, progress, and the table at the end.

Must not know: how a case is measured or how a report is made.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

import pytest

from bench.cases import BENCHES, Case
from bench.child import CaseError
from bench.environment import describe
from bench.options import Settings, add_options, read_options
from bench.progress import Progress
from bench.results import RunFile
from bench.runner import CaseRun, describe_failure
from loaders.cifar10 import prepare_source
from loaders.source import ImageSource, SourceError

SETTINGS = pytest.StashKey[Settings]()
RUN = pytest.StashKey["Run"]()


class Run:
    """One run of the suite: its sources, its progress and its files.

    Args:
        settings: the options.
        cases: what will be measured.
        stream: for the progress.
    """

    def __init__(self, settings: Settings, cases: list[Case], stream: TextIO) -> None:
        self.settings = settings
        self.progress = Progress(
            Counter(case.bench for case in cases), settings.protocol, stream=stream
        )
        self.sources = {samples: self._prepare(samples) for samples in _samples(cases)}
        self.file = RunFile(
            settings.folder,
            environment=describe(),
            protocol=asdict(settings.protocol),
            planned_cases=len(cases),
        )
        for source in self.sources.values():
            self.file.add_source(source)

    def _prepare(self, samples: int) -> ImageSource:
        self.progress.note(f"preparing {samples:,} samples")
        return prepare_source(
            self.settings.source,
            data_dir=self.settings.data_dir,
            num_samples=samples,
            seed=self.settings.protocol.seed,
        )

    def measure(self, case: Case, benchmark: Any) -> None:
        """Run one case; a case that cannot be measured is a failed test.

        Unless a package is missing, which skips it, or its batches are known to be wrong.
        """
        case_run = CaseRun(
            case,
            protocol=self.settings.protocol,
            source=self.sources[case.samples],
            results=self.file,
            progress=self.progress,
        )
        try:
            case_run.measure(benchmark)
        except CaseError as error:
            if error.outcome == "skipped":
                pytest.skip(error.message)
            known = case_run.known_failure
            if error.outcome == "audit_failed" and known:
                pytest.xfail(f"{error.message}. Known: {known.reason} See {known.link}")
            pytest.fail(describe_failure(error), pytrace=False)


def _samples(cases: list[Case]) -> list[int]:
    return sorted({case.samples for case in cases})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    add_options(parser.getgroup("keras-loader-bench", "loader benchmarks"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check every option before anything starts."""
    try:
        config.stash[SETTINGS] = read_options(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    # Warnings are errors in the tests of this project, not in somebody's measurement.
    config.addinivalue_line("filterwarnings", "default")
    # pytest-benchmark's own table is wider than a terminal and knows no loaders. It is shown where
    # somebody asks for what only it has.
    if not config.getoption("benchmark_compare"):
        config.option.benchmark_quiet = True


@pytest.hookimpl(trylast=True)  # the terminal reporter is made in a pytest_configure too
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let the progress have the lines on which pytest would print file names and dots."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.showfspath = False


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Print no dot for a case that passed: the progress says more."""
    if report.when == "call" and report.passed:
        return report.outcome, "", ""
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every case of the module's benchmark."""
    bench = getattr(metafunc.module, "BENCH", None)
    if bench in BENCHES:
        cases = metafunc.config.stash[SETTINGS].cases[bench]
        metafunc.parametrize("case", cases, ids=str)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepare the sources of the cases that are left after `-k` and the like."""
    config = session.config
    cases: list[Case] = [
        item.callspec.params["case"]  # type: ignore[misc]  # pytest's params are objects
        for item in session.items
        if isinstance(item, pytest.Function) and "measure" in item.fixturenames
    ]
    if not cases or config.option.collectonly or config.getoption("benchmark_skip"):
        return
    try:
        config.stash[RUN] = Run(config.stash[SETTINGS], cases, _terminal(config))
    except (SourceError, OSError) as error:
        raise pytest.UsageError(str(error)) from None


def _terminal(config: pytest.Config) -> TextIO:
    """Return a stream to what standard output is outside of pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    config.add_cleanup(stream.close)
    return stream


@pytest.fixture
def measure(case: Case, pytestconfig: pytest.Config) -> Callable[[Any], None]:
    """Return the function that measures the test's case under pytest-benchmark."""
    return lambda benchmark: pytestconfig.stash[RUN].measure(case, benchmark)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close `run.json`."""
    run = session.config.stash.get(RUN, None)
    if run is not None:
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        run.file.finish("interrupted" if interrupted else "complete")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write the report and print the table."""
    run = config.stash.get(RUN, None)
    if run is None or not run.file.run["cases"]:
        return
    from bench.report import write_report
    from bench.report.terminal import terminal_table

    write_report(run.settings.folder)
    terminalreporter.section("loaders compared")
    terminalreporter.write_line(terminal_table(run.file.run))
    terminalreporter.write_line(f"Report: {run.settings.folder / 'report.md'}")
