"""pytest's hooks and fixtures: options, cases, progress and the table at the end."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from keras_loader_bench.bench.parent.launching import serve_if_other
from keras_loader_bench.bench.parent.plugins import check_plugins
from keras_loader_bench.bench.parent.progress import plan_text
from keras_loader_bench.bench.parent.recorded_clock import CLOCK
from keras_loader_bench.bench.parent.session import Session
from keras_loader_bench.bench.parent.settings import Settings, read_options
from keras_loader_bench.bench.parent.sigterm import (
    TERMINATED,
    end_in_order_on_sigterm,
    sigterm_came,
)
from keras_loader_bench.bench.plan.case import MODULES, Case
from keras_loader_bench.bench.plan.command_line import add_options
from keras_loader_bench.loaders.sources.image_source import SourceError

# A checkout that is not installed has its package there; cases are processes that need it too.
PACKAGE = Path(__file__).parents[1] / ".package"
if PACKAGE.is_dir():
    paths = dict.fromkeys([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)

UNJUDGED = 3
"""Exit status of a run with `--fail-if` where nothing failed and not all could be judged."""

SETTINGS = pytest.StashKey[Settings]()
RUN = pytest.StashKey[Session]()
UNWRITTEN = pytest.StashKey[str]()
"""Why `run.json` or the report could not be written."""

JUDGED = pytest.StashKey[list[str]]()
"""What `--fail-if` found, a line for each input."""

OPTIONS: list[str] = []
"""Names of the suite's options."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    OPTIONS[:] = add_options(parser.getgroup("keras-loader-bench", "loader benchmarks"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check every option before anything starts."""
    try:
        config.stash[SETTINGS] = read_options(config, OPTIONS)
        check_plugins(config)
        serve_if_other(config.stash[SETTINGS].own_rank, config)
    except (ValueError, OSError) as error:
        raise pytest.UsageError(str(error)) from None
    # Warnings are errors in the tests of this project, but must not end a measurement.
    config.addinivalue_line("filterwarnings", "default")
    end_in_order_on_sigterm(config)
    # pytest-benchmark's own table is wider than a terminal and does not group loaders.
    config.option.benchmark_quiet = True


@pytest.hookimpl(trylast=True)  # after the pytest_configure that makes the terminal reporter
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop pytest from printing file names on the line of the progress."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.showfspath = False


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Print no dot for a case that passed; the progress shows it."""
    if report.when == "call" and report.passed:
        return report.outcome, "", ""
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test per case of the module's benchmark."""
    bench = getattr(metafunc.module, "BENCH", None)
    if bench not in MODULES:
        return
    settings = metafunc.config.stash[SETTINGS]
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", settings.cases.get(bench, []), ids=str)
    elif "cases" in metafunc.fixturenames:
        groups: defaultdict[str, list[Case]] = defaultdict(list)
        for case in settings.searched:
            groups[case.without_samples].append(case)
        metafunc.parametrize("cases", list(groups.values()), ids=list(groups))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect benchmarks without cases, and breaking points without a budget."""
    settings = config.stash[SETTINGS]
    asked = [item for item in items if _is_asked(item, settings)]
    nothing_left = items and not asked and settings.resumed is None
    for item in asked:
        if "measure" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.benchmark(timer=CLOCK))
    items[:] = asked  # even before an error: pytest still calls `pytest_collection_finish`
    if nothing_left:
        raise pytest.UsageError(
            "Emulated steps need `--step-ms`, such as `--step-ms 0.5,1,2,5,10`, and breaking "
            "points `--memory-budget`, such as `--memory-budget 1GiB`."
        )


def _is_search(item: pytest.Item) -> bool:
    return "search" in getattr(item, "fixturenames", ())


def _is_asked(item: pytest.Item, settings: Settings) -> bool:
    bench = getattr(getattr(item, "module", None), "BENCH", None)
    if bench not in MODULES:
        return True  # a test from another folder
    if _is_search(item):
        return settings.protocol.memory_budget_bytes is not None
    # pytest makes an item, to be skipped, of a benchmark without cases.
    return bool(settings.cases.get(bench))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepare the sources of the cases that are left after `-k` and the like."""
    config = session.config
    cases: list[Case] = [
        item.callspec.params["case"]  # type: ignore[misc]  # pytest's params are objects
        for item in session.items
        if isinstance(item, pytest.Function) and "measure" in item.fixturenames
    ]
    settings = config.stash[SETTINGS]
    if config.getoption("dry_run"):
        session.items.clear()
        print(plan_text(cases, settings.protocol), file=_terminal(config), flush=True)
        return
    nothing = not cases and not any(_is_search(item) for item in session.items)
    if nothing and settings.resumed is not None:
        print(f"Nothing is left to measure in {settings.folder}.", file=_terminal(config))
    if nothing or config.option.collectonly or config.getoption("benchmark_skip"):
        return
    try:
        config.stash[RUN] = Session(settings, cases, _terminal(config))
    except (SourceError, OSError, ValueError) as error:
        raise pytest.UsageError(str(error)) from None


def _terminal(config: pytest.Config) -> TextIO:
    """Return a stream to standard output that pytest does not capture."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    config.add_cleanup(stream.close)
    return stream


@pytest.fixture
def measure(case: Case, pytestconfig: pytest.Config) -> Callable[[Any], None]:
    """Return the function that measures the test's case under pytest-benchmark."""
    return lambda benchmark: pytestconfig.stash[RUN].measure(case, benchmark)


@pytest.fixture
def search(cases: list[Case], pytestconfig: pytest.Config) -> Callable[[Any], None]:
    """Return the function that searches for a breaking point under pytest-benchmark."""
    return lambda benchmark: pytestconfig.stash[RUN].search(cases, benchmark)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close `run.json` and write the report.

    With `--dry-run` or `--resume`, having nothing to run is no failure.
    """
    config = session.config
    terminated = sigterm_came(config)
    nothing = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
    if nothing and (config.getoption("dry_run") or config.getoption("resume")):
        session.exitstatus = pytest.ExitCode.OK
    if (run := config.stash.get(RUN, None)) is not None:
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        try:
            run.close("interrupted" if interrupted else "complete")
            _write_report(config)
        except OSError as error:
            config.stash[UNWRITTEN] = str(error)
            session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
        except KeyboardInterrupt:
            config.stash[UNWRITTEN] = "Interrupted before the report was written."
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if exitstatus == pytest.ExitCode.OK and run.all_skipped:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    gate = _gate(config)  # its lines are printed however the run ended
    if pytest.ExitCode.OK in (exitstatus, session.exitstatus):
        session.exitstatus = gate or session.exitstatus
    if terminated:
        session.exitstatus = TERMINATED


def _gate(config: pytest.Config) -> int:
    """Return the exit status of `--fail-if`, 0 if nothing waits too long; keep a line per input."""
    most = config.stash[SETTINGS].most_wait
    session = config.stash.get(RUN, None)
    run = session.file.run if session else config.stash[SETTINGS].resumed
    if most is None or run is None:
        return 0
    from keras_loader_bench.bench.report.figures.input_figures import inputs_of
    from keras_loader_bench.bench.report.sections.input_section import judged_wait, judgement

    inputs = inputs_of(run)
    config.stash[JUDGED] = [judgement(each, most) for each in inputs]
    found = [judged_wait(each, most) for each in inputs]
    return 1 if True in found else UNJUDGED * (None in found)


def _write_report(config: pytest.Config) -> None:
    run = config.stash[RUN]
    if config.getoption("no_report") or not run.file.run.cases:
        return
    # Imported here: `--no-report` must work without the packages that reports need.
    from keras_loader_bench.bench.report import write_report
    from keras_loader_bench.bench.report.github_summary import append_step_summary

    write_report(run.settings.folder)
    append_step_summary((run.settings.folder / "report.md").read_text("utf-8"), os.environ)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and where the report is or why there is none."""
    if (run := config.stash.get(RUN, None)) is None:
        _write_verdicts(terminalreporter, config)
        return
    terminalreporter.section("loaders compared")
    if run.file.run.cases and not config.getoption("no_report"):
        from keras_loader_bench.bench.report.terminal_table import terminal_table

        terminalreporter.write_line(terminal_table(run.file.run))
    if run.all_skipped:
        terminalreporter.write_line("Nothing was measured: every case was skipped.", red=True)
    folder, problem = run.settings.folder, config.stash.get(UNWRITTEN, None)
    if problem:
        terminalreporter.write_line(problem, red=True)
    _write_verdicts(terminalreporter, config)
    if problem or config.getoption("no_report"):
        terminalreporter.write_line(f"`keras-loader-bench report {folder}` makes the report.")
    elif run.file.run.cases:
        terminalreporter.write_line(f"Report: {folder / 'report.md'}")


def _write_verdicts(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for verdict in config.stash.get(JUDGED, []):
        terminalreporter.write_line(verdict)
