"""The command `keras-loader-bench` and its subcommands."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path

from keras_loader_bench.bench.closed_pipe import exit_status

COMMANDS = {
    "run": "measure loaders: `pytest bench/ --benchmark-only`, from any folder; options as there",
    "input": "measure your own input: does training wait for it, and why?",
    "audit": "find out what `fit` really trains on, with any input",
    "report": "rebuild the report of a run from its run.json",
    "compare": "compare two runs, case by case",
    "history": "show each case over many runs",
}

_MODULES = {
    "audit": "loaders.audit",
    "report": "bench.report",
    "compare": "bench.compare",
    "history": "bench.history",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command and its own arguments; `None`: those of the process.

    Returns:
        The exit status of the command; 2 where there is no such command.
    """
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(_usage())
        return 0
    if command == "run":
        return _run(rest)
    if command == "input":
        return _input(rest)
    if command not in _MODULES:
        print(f"There is no command `{command}`.\n\n{_usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"keras_loader_bench.{_MODULES[command]}.__main__")
    return exit_status(lambda: module.main(rest))


def _usage() -> str:
    lines = [f"  {name:<9}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: keras-loader-bench COMMAND ...", "", *lines])


def _input(arguments: list[str]) -> int:
    """Measure inputs: their names come first, and then options as those of `run`."""
    from keras_loader_bench.bench.plan.command_line import usage_of_inputs

    if {"-h", "--help"} & {*arguments}:
        print(usage_of_inputs(whole=True))
        return 0
    if any(each.partition("=")[0] == "--resume" for each in arguments):
        return _run(arguments)  # it knows what it measured
    names = list(itertools.takewhile(lambda each: not each.startswith("-"), arguments))
    if not names:
        print(usage_of_inputs(whole=False), file=sys.stderr)
        return 2
    return _run(["--input", ",".join(names), *arguments[len(names) :]])


def _run(options: list[str]) -> int:
    import pytest

    folder = Path(__file__).parent
    # A `bench` of the user's must not be taken for this one.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path.cwd()]
    modules = {path.name for path in folder.glob("bench_*.py")}
    chosen = [option for option in options if option.partition("::")[0] in modules]
    return pytest.main(
        [
            # Where the user is, results go; no settings of that folder's own pytest apply.
            f"--rootdir={Path.cwd()}",
            *("-c", str(folder / "run.ini")),
            "--benchmark-only",
            *(str(folder / name) for name in chosen or [""]),
            *(option for option in options if option not in chosen),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
