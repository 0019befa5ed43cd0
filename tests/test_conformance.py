"""The conformance matrix: its setups, verdicts, smallest conditions, file and pages."""

import ast
import html
import itertools
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import PROJECT, TESTS

from keras_loader_bench.loaders.conformance import __main__ as command
from keras_loader_bench.loaders.conformance import causes, child, parts, passes, trials
from keras_loader_bench.loaders.conformance.__main__ import main, parse
from keras_loader_bench.loaders.conformance.causes import Cause, cause_of
from keras_loader_bench.loaders.conformance.cells import Cell, Tried
from keras_loader_bench.loaders.conformance.changed import changes
from keras_loader_bench.loaders.conformance.expected import (
    FEWER,
    PASSES,
    RUNS,
    Expected,
    Found,
    batches_of,
    expected,
    judged,
)
from keras_loader_bench.loaders.conformance.grouped import (
    causes_of,
    mark_text,
    newest_of,
    since,
)
from keras_loader_bench.loaders.conformance.html import html_page
from keras_loader_bench.loaders.conformance.mends import Mend, MendError
from keras_loader_bench.loaders.conformance.older_keras import supply_view
from keras_loader_bench.loaders.conformance.page import page
from keras_loader_bench.loaders.conformance.problems import problems
from keras_loader_bench.loaders.conformance.processes import EndedError, Processes
from keras_loader_bench.loaders.conformance.programs import program
from keras_loader_bench.loaders.conformance.setups import (
    AXES,
    COMPLETE,
    KINDS,
    QUICK,
    SLOW,
    Setup,
    chosen_setups,
    every_setup,
)
from keras_loader_bench.loaders.conformance.stored import (
    FileError,
    Mark,
    Matrix,
    Part,
    ProblemRecord,
    read,
    rows_of,
    write,
)
from keras_loader_bench.loaders.conformance.trials import TrialError, try_setups
from keras_loader_bench.loaders.conformance.upstream import upstream_report
from keras_loader_bench.loaders.conformance.versions import VersionError, checked_versions

CHOSEN = chosen_setups()


@pytest.mark.parametrize("kind", KINDS)
def test_of_each_kind_every_pair_of_conditions_is_tried(kind):
    def pairs(setups):
        return {
            pair
            for setup in setups
            for pair in itertools.combinations(asdict(setup).items(), 2)
            if setup.kind == kind and setup not in SLOW
        }

    assert pairs(CHOSEN) == pairs(every_setup(kind))
    assert {each for each in CHOSEN if each in SLOW} == set(SLOW)


def test_of_a_py_dataset_every_combination_is_tried_that_matters():
    def combined(setups):
        return {tuple(getattr(each, n) for n in COMPLETE) for each in setups}

    mine = combined(each for each in CHOSEN if each.kind == "PyDataset")
    assert mine == combined(every_setup("PyDataset"))
    assert len(mine) == 3 * 2 * 3 * 2


def test_rows_have_texts_of_their_own():
    every = [setup for kind in KINDS for setup in every_setup(kind)]
    assert len({str(setup) for setup in every}) == len(every)
    assert set(QUICK) <= set(every)
    text = "PyDataset, 2 threads, 4 steps per epoch".replace("4", "fewer")
    assert str(Setup("PyDataset", workers="threads", steps="fewer")) == text


def test_batches_are_those_of_the_input():
    assert batches_of(Setup("arrays"))[-1] == (36, 37, 38, 39)
    assert batches_of(Setup("arrays", last_batch="partial"))[-1] == (36, 37)
    assert [len(b) for b in batches_of(Setup("CIFAR10Sequence"))][-2:] == [1024, 784]


TEN = tuple(tuple(range(i, i + 4)) for i in range(0, 40, 4))


@pytest.mark.parametrize(
    ("conditions", "name", "want"),
    [
        ({}, "fit, epoch 2", Expected(TEN)),
        ({"steps": "fewer"}, "fit, epoch 1", Expected(TEN[:FEWER])),
        ({"steps": "fewer"}, "fit, epoch 2", Expected(TEN[FEWER : 2 * FEWER])),
        ({"steps": "fewer"}, "validation, epoch 2", Expected(TEN[:FEWER])),
        ({"steps": "all"}, "fit, epoch 2", Expected(TEN)),
        ({"shuffle": True}, "fit, epoch 1", Expected(TEN, "batches")),
        ({"shuffle": True, "steps": "fewer"}, "fit, epoch 1", Expected(TEN, "batches", FEWER)),
        ({"shuffle": True}, "evaluate", Expected(TEN)),
        ({}, "fit resumed in mid-epoch", Expected(TEN[6:])),
        ({"steps_per_execution": 3}, "fit resumed in mid-epoch", None),
    ],
)
def test_passes_are_expected_as_keras_documents_them(conditions, name, want):
    assert expected(Setup("PyDataset", **conditions), name) == want


def test_a_generator_is_used_up_and_arrays_are_shuffled_by_sample():
    generator = Setup("generator")
    assert expected(generator, "fit, epoch 2") is None
    assert expected(generator, "fit after an exception") is None
    few = replace(generator, steps="fewer")
    assert expected(few, "fit, epoch 2") == Expected(TEN[FEWER : 2 * FEWER])
    assert expected(Setup("arrays", shuffle=True), "fit, epoch 1") == Expected(TEN, "samples")
    assert expected(Setup("tf.data", shuffle=True), "fit, epoch 1") == Expected(TEN)
    assert [name for call in RUNS for name in call] == list(PASSES)


SHUFFLED = (TEN[3], *TEN[:3], *TEN[4:])
MIXED = ((0, 1, 2, 39), *TEN[1:9], (36, 37, 38, 3))


@pytest.mark.parametrize(
    ("want", "got", "verdict", "numbers", "text"),
    [
        (Expected(TEN), TEN, "identical", (0, 0), ""),
        (Expected(TEN), SHUFFLED, "other order", (0, 0), "batch 0 is batch 3"),
        (Expected(TEN), TEN[:9], "missing", (4, 0), "batch 9 never came"),
        (Expected(TEN), (*TEN, TEN[0]), "repeated", (0, 4), "1 more came"),
        (Expected(TEN), (*TEN[:9], TEN[0]), "missing", (4, 4), "batch 9 is batch 0"),
        (Expected(TEN), (*TEN[:9], (36, -1, 38, 39)), "changed", (0, 0), "batch 9 has values"),
        (Expected(TEN), (), "missing", (40, 0), "batch 0 never came"),
        (Expected(TEN, "batches"), SHUFFLED, "identical", (0, 0), ""),
        (Expected(TEN, "batches"), MIXED, "other order", (0, 0), "batch 0 is none of them"),
        (Expected(TEN, "samples"), MIXED, "identical", (0, 0), ""),
        (Expected(TEN, "batches", 4), SHUFFLED[:4], "identical", (0, 0), ""),
        (Expected(TEN, "batches", 4), SHUFFLED[:3], "missing", (4, 0), ""),
        (Expected(TEN, "batches", 4), (*TEN[:3], TEN[0]), "repeated", (0, 4), ""),
    ],
)
def test_verdicts(want, got, verdict, numbers, text):
    found = judged(want, got)
    assert (found.verdict, (found.missing, found.repeated)) == (verdict, numbers)
    assert found.text.startswith(text)
    assert (found.got, found.expected) == (len(got), want.distinct or 10)


def cell(verdict="identical", name="predict", kind="PyDataset", missing=0, text="", **conditions):
    found = Found(verdict, 10, 10, missing, text=text)
    return Cell(Setup(kind, **conditions), name, [found])


def test_conditions_are_removed_one_by_one_as_long_as_it_stays_wrong():
    """Threads alone decide; what else held in the cell that was tried is left out."""
    tried = []

    def retry(asked):
        assert not any(each.race for each in asked)
        tried.append([(each.setup, name) for each in asked for name in each.names])
        verdicts = {"threads": "missing"}
        return [
            Cell(each.setup, name, [Found(verdicts.get(each.setup.workers, "identical"))])
            for each in asked
            for name in each.names
        ]

    held = {"workers": "threads", "steps_per_execution": 3, "structure": "dict"}
    cells = [
        cell(),
        cell("missing", missing=4, **held),
        cell("missing", missing=4, shuffle=True, **held),
        cell("repeated", name="fit resumed in mid-epoch"),
        cell("other order", name="evaluate", **held),
        cell("error", kind="generator", text="ValueError: no", structure="dict"),
        cell("hang", kind="tf.data", steps="all"),
    ]
    data, resumed, error, hang = problems(cells, retry)
    # What is wrong without any condition explains nothing else.
    assert (str(resumed.setup), len(resumed.cells)) == ("PyDataset", 1)
    assert str(data.setup) == "PyDataset, 2 threads"
    assert (data.passes, data.sort, len(data.cells)) == (("predict", "evaluate"), "data", 3)
    assert (error.sort, str(error.setup)) == ("ValueError: no", "generator, dictionary")
    assert (hang.sort, str(hang.setup)) == ("hang", "tf.data, all steps per epoch")
    # What all need next is tried at once: with one condition less, then with all that are needed.
    assert len(tried) == 2
    every = [each for asked in tried for each in asked]
    assert len(every) == len({*every} - {(each.setup, each.name) for each in cells})
    assert problems([cell()], retry) == []


@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        # Either of two conditions will do: without both it is right.
        (
            lambda setup, name: setup.shuffle or setup.steps == "fewer",
            "arrays, fewer steps per epoch",
        ),
        # With one of them, one pass goes wrong and the other one does not.
        (
            lambda setup, name: setup.shuffle or (setup.steps == "fewer" and name != "predict"),
            "arrays, shuffle",
        ),
        (
            lambda setup, name: setup.shuffle and setup.steps == "fewer",
            "arrays, shuffle, fewer steps per epoch",
        ),
        (lambda setup, name: True, "arrays"),
    ],
)
def test_the_smallest_conditions_are_those_of_all_passes(wrong, least):
    def retry(asked):
        return [
            Cell(each.setup, name, [Found("missing" if wrong(each.setup, name) else "identical")])
            for each in asked
            for name in each.names
        ]

    held = Setup("arrays", shuffle=True, steps="fewer", last_batch="partial")
    cells = [Cell(held, name, [Found("missing")]) for name in ("fit, epoch 1", "predict")]
    (found,) = problems(cells, retry)
    assert str(found.setup) == least
    assert found.passes == ("fit, epoch 1", "predict")


def test_of_a_race_one_pass_that_goes_wrong_is_enough():
    right, wrong = Found("identical"), Found("error", text="RuntimeError: no")
    tried = []

    def retry(asked):
        tried.extend((str(each.setup), *each.names, each.race) for each in asked)
        shown = {"predict": [right, wrong], "evaluate": [right, right]}
        return [Cell(each.setup, name, shown[name]) for each in asked for name in each.names]

    held = Setup("DataLoader", workers="processes", last_batch="partial")
    cells = [Cell(held, "evaluate", [right] * 4 + [wrong]), Cell(held, "predict", [right, wrong])]
    (found,) = problems(cells, retry)
    assert str(found.setup) == "DataLoader"
    assert tried == [
        ("DataLoader, partial last batch", "predict", True),
        ("DataLoader, 2 processes", "predict", True),
        ("DataLoader", "evaluate", "predict", True),
    ]


def test_a_race_removes_no_condition_of_what_always_goes_wrong():
    right, wrong = Found("identical"), Found("missing")
    held = Setup("DataLoader", workers="processes", last_batch="partial")

    def retry(asked):
        """Alone, the other pass may go wrong with any conditions."""
        shown = {"predict": [right, wrong], "evaluate": [right, right]}
        return [Cell(each.setup, name, shown[name]) for each in asked for name in each.names]

    cells = [Cell(held, "evaluate", [wrong, wrong]), Cell(held, "predict", [right, wrong])]
    found = {str(each.setup): each.passes for each in problems(cells, retry)}
    assert found == {str(held): ("evaluate",), "DataLoader": ("predict",)}


def test_what_is_a_race_is_looked_for_more_often(monkeypatch):
    """In three runs it may not show, with all conditions that it needs."""
    wanted_runs = {}

    def tried(setups, *, runs=trials.runs_of, **how):
        wanted_runs.update({setup: runs(setup) for setup in setups})
        right, wrong = Found("identical", 10, 10), Found("missing", 10, 9, 4)
        cells = []
        for setup in setups:
            found = [right, wrong] if setup.structure == "weights" else [wrong, wrong]
            cells.append(Cell(setup, "predict", found))
        return Tried(keras="3.15.1", backend="jax", version="1", cells=tuple(cells))

    monkeypatch.setattr("keras_loader_bench.loaders.conformance.processes.try_setups", tried)
    monkeypatch.setattr(parts, "not_there", lambda *about: None)
    race = Setup("DataLoader", workers="processes", structure="weights")
    steady = Setup("PyDataset", workers="threads", steps_per_execution=3)
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(folder)
        try:
            parts.start_part([race, steady], None, "jax", quick=False, processes=processes)()
        finally:
            processes.end()
    assert wanted_runs == {
        race: 3,
        steady: 3,
        replace(race, workers="none"): trials.UNDECIDED_RACES,
        replace(race, structure="tuple"): trials.UNDECIDED_RACES,
        replace(steady, workers="none"): 1,
        replace(steady, steps_per_execution=1): 3,
        Setup("DataLoader"): trials.UNDECIDED_RACES,
        Setup("PyDataset"): 1,
    }


def matrix(*parts):
    return Matrix(quick=False, parts=parts)


def part(*cells, keras="3.15.1", backend="jax", found=()):
    return Part(
        keras=keras,
        backend=backend,
        version="0.1",
        date="2026-01-02",
        packages={"Python": "3.11.0", "numpy": "2.0"},
        rows=rows_of(cells),
        problems=tuple(map(ProblemRecord.of, found)),
        left_out={"CIFAR10Sequence": "CIFAR-10 was not found"},
    )


LOST = cell("missing", missing=4, workers="threads")
(PROBLEM,) = problems([LOST], lambda asked: [])
WHOLE = matrix(part(cell(), LOST, found=[PROBLEM]))


def test_a_file_keeps_a_matrix(tmp_path):
    write(WHOLE, tmp_path / "matrix.json")
    assert read(tmp_path / "matrix.json") == WHOLE
    for text, message in (("{}", "holds no matrix"), ('{"form": 0}', "has form 0, expected 3")):
        (tmp_path / "matrix.json").write_text(text)
        with pytest.raises(FileError, match=message):
            read(tmp_path / "matrix.json")


def test_what_another_keras_changed_is_said():
    mended = replace(LOST, found=[Found("identical")])
    newer = matrix(part(cell(), mended, keras="3.16.0"))
    line = "jax, PyDataset, 2 threads, predict: missing on Keras 3.15.1, identical on 3.16.0"
    assert list(map(str, changes(WHOLE, newer))) == [line]
    assert changes(WHOLE, WHOLE) == []
    both = matrix(*newer.parts, *WHOLE.parts)  # of two versions, each with itself
    assert changes(both, both) == []
    # Other batches are as wrong as missing ones; and a race is no change of Keras.
    other = replace(LOST, found=[Found("other order", 10, 10)])
    race = replace(LOST, found=[Found("identical", 10, 10), *LOST.found])
    for found in (other, race):
        assert changes(WHOLE, matrix(part(cell(), found, keras="3.16.0"))) == []
    error = replace(LOST, found=[Found("error", text="ValueError: no")])
    assert len(changes(WHOLE, matrix(part(cell(), error, keras="3.16.0")))) == 1
    assert changes(WHOLE, matrix(part(LOST, backend="torch"))) == []


def test_a_part_takes_the_place_of_one_of_the_same_keras_and_backend():
    tried = [("3.9.0", "jax"), ("3.10.0", "torch"), ("3.10.0", "jax"), ("3.9.0", "jax")]
    whole = Matrix(quick=False)
    for keras_, backend in tried:
        whole = whole.plus(part(cell(), keras=keras_, backend=backend))
    whole = whole.plus(part(cell(), LOST, keras="3.9.0"))
    found = [(each.keras, each.backend, len(each.rows)) for each in whole.parts]
    assert found == [("3.10.0", "jax", 1), ("3.10.0", "torch", 1), ("3.9.0", "jax", 2)]


@pytest.fixture
def tried_in_turn(monkeypatch):
    """Parts of jax and torch come out; after the first one, Ctrl-C if it is asked for."""
    asked = {"interrupt": False}

    def try_all(setups, versions, backends, *, quick, keep):
        for backend in ("jax", "torch"):
            keep(part(cell(), backend=backend))
            if asked["interrupt"]:
                raise KeyboardInterrupt

    monkeypatch.setattr(command, "try_all", try_all)
    return asked


def test_what_has_been_tried_is_kept(tmp_path, tried_in_turn, capsys):
    old = matrix(part(cell(), keras="3.9.0"))
    write(old, tmp_path / "conformance.json")
    arguments = ["--matrix", "--output", str(tmp_path)]
    tried_in_turn["interrupt"] = True
    assert main(arguments) == 130
    assert "interrupted; 1 are in" in capsys.readouterr().err
    kept = read(tmp_path / "conformance.json")
    assert [(each.keras, each.backend) for each in kept.parts] == [
        ("3.15.1", "jax"),
        ("3.9.0", "jax"),
    ]
    tried_in_turn["interrupt"] = False
    assert main(arguments) == 0
    assert len(read(tmp_path / "conformance.json").parts) == 3
    # A quick one is of another sort.
    assert main([*arguments, "--quick"]) == 0
    assert len(read(tmp_path / "conformance.json").parts) == 2


def test_a_row_that_is_tried_again_has_its_cause_and_remedy(monkeypatch, capsys):
    monkeypatch.setattr(
        command, "try_all", lambda *_, keep, **__: keep(part(LOST, found=[PROBLEM]))
    )
    assert main(["--matrix", "--only", "PyDataset, 2 threads"]) == 0
    said = capsys.readouterr().out
    assert "predict: 4 samples missing\n" in said
    assert "workers lose batches of a PyDataset. Remedy: `workers=1`" in said


def test_the_page_says_what_is_wrong_and_shows_every_cell(monkeypatch):
    monkeypatch.setattr(causes, "KNOWN", ())
    text = page(WHOLE)
    assert "### New: PyDataset, 2 threads: other samples than the input has" in text
    assert "| PyDataset | 2 threads | predict | 4 samples missing | jax | 1 |" in text
    assert "**Versions**" not in text
    assert "[Loaders of this suite]" not in text
    of_a_loader = cell("missing", missing=4, kind="sequence", workers="threads")
    found = problems([of_a_loader], lambda asked: [])
    of_a_loader_page = page(matrix(part(of_a_loader, found=found)))
    assert "among the inputs: `sequence`.\n" in of_a_loader_page
    assert "| PyDataset, 2 threads | - | - | - | - | - | **1** | - | - |" in text
    assert "`CIFAR10Sequence` was left out: CIFAR-10 was not found" in text
    assert "Nothing: every pass" in page(matrix(part(cell())))
    known = Cause(
        key="a",
        title="Threads lose batches",
        why="Because.",
        remedy="Do not.",
        link="https://example.org",
        explains=lambda problem: problem.setup.kind == "PyDataset",
    )
    monkeypatch.setattr(causes, "KNOWN", (known,))
    text = page(WHOLE)
    assert "### Threads lose batches\n\nBecause. [More](https://example.org)\n" in text
    assert "**Remedy**: Do not.\n" in text


def versions(*found, tried=("3.9.0", "3.10.0", "3.15.1")):
    """A matrix in which `PROBLEM` shows in some versions."""
    problem = {version: [PROBLEM] if version in found else () for version in tried}
    return matrix(*(part(cell(), LOST, keras=each, found=problem[each]) for each in tried))


def test_versions_stand_beside_each_other(monkeypatch):
    monkeypatch.setattr(causes, "KNOWN", ())
    text = page(versions("3.15.1"))
    assert "| PyDataset, 2 threads: other samples than the input has | - | - | jax |" in text
    assert "| what is wrong | 3.9.0 (tried on jax) | 3.10.0 (tried on jax) |" in text
    assert "| 4 samples missing | jax (3.15.1) | 1 |" in text
    assert newest_of(versions()) == "3.15.1"
    assert "From 3.9.0 to 3.10.0 on jax, no cell changed" in text
    right = part(cell(), replace(LOST, found=[Found("identical", 10, 10)]), keras="3.9.0")
    line = "- jax, PyDataset, 2 threads, predict: identical on Keras 3.9.0, missing on 3.15.1"
    assert line in page(matrix(right, part(cell(), LOST, found=[PROBLEM])))
    # Each backend is compared with the version before that was tried on it.
    two = [part(cell(), keras=each, backend="torch") for each in ("3.15.1", "3.9.0")]
    text = page(matrix(*versions("3.15.1").parts, *two))
    assert "From 3.10.0 to 3.15.1 on jax, no cell changed" in text
    assert "From 3.9.0 to 3.15.1 on torch, no cell changed" in text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (("3.9.0", "3.10.0", "3.15.1"), "shows in all that were tried."),
        (("3.10.0", "3.15.1"), "since 3.10.0; not in 3.9.0."),
        (("3.9.0",), "shows up to 3.9.0; gone in 3.10.0."),
        (("3.10.0",), "since 3.10.0; not in 3.9.0; gone in 3.15.1."),
        (("3.9.0", "3.15.1"), "shows in 3.9.0, 3.15.1."),
    ],
)
def test_a_cause_says_in_which_versions_it_shows(found, said):
    assert f"**Versions**: {said}" in page(versions(*found))


def test_what_differs_by_input_or_backend_alone_is_one_row(monkeypatch):
    every = replace(causes.KNOWN[0], explains=lambda problem: True)
    monkeypatch.setattr(causes, "KNOWN", (every,))
    found = [
        replace(PROBLEM, setup=replace(PROBLEM.setup, kind=kind))
        for kind in ("PyDataset", "generator")
    ]
    jax, torch = (part(cell(), LOST, backend=each, found=found) for each in ("jax", "torch"))
    other = [replace(each, example=replace(each.example, missing=8)) for each in torch.problems]
    parts = [jax, replace(torch, problems=tuple(other))]
    line = "| PyDataset, generator | 2 threads | predict | 4 samples missing | jax, torch | 4 |"
    assert line in page(matrix(*parts))


def test_versions_are_not_named_where_others_could_not_try_an_input(monkeypatch):
    every = replace(causes.KNOWN[0], explains=lambda problem: True)
    monkeypatch.setattr(causes, "KNOWN", (every,))
    without = replace(part(cell(), keras="3.10.0"), left_out={"PyDataset": "too old"})
    text = page(matrix(part(cell(), LOST, found=[PROBLEM]), without))
    assert "| PyDataset | 2 threads | predict | 4 samples missing | jax | 1 |" in text


def test_the_html_has_all_in_itself(monkeypatch):
    monkeypatch.setattr(command, "missing_package", lambda names: None)  # its cells are JAX's
    text = html_page(WHOLE)
    assert '<td class="wrong">4 samples missing</td>' in text
    (title,) = re.findall('<tr title="([^"]*threads[^"]*)">', text)
    program, which, *arguments = shlex.split(html.unescape(title))
    assert (program, which) == ("keras-loader-bench", "audit")
    assert parse(arguments).only == "PyDataset, 2 threads"
    assert "src=" not in text
    assert "http" not in text


def test_marks_say_how_often():
    found = [Found("missing", 10, 9, 4), Found("identical", 10, 10)]
    mark = Mark.of(Cell(Setup("PyDataset", workers="threads"), "predict", found))
    assert mark_text(mark) == "4 samples missing, 9 batches instead of 10 (1 of 2 runs)"


def test_where_runs_differ_the_worst_one_counts():
    found = [Found("other order", 10, 10, text="batch 0"), Found("missing", 10, 9, 4, text="gone")]
    mark = Mark.of(Cell(Setup("PyDataset", workers="threads"), "predict", found))
    assert (mark.verdict, mark.missing, mark.text) == ("missing", 4, "gone")


@pytest.mark.parametrize("kind", [k for k in KINDS if program(Setup(k), "predict")])
def test_programs_are_short_and_valid(kind):
    for setup in every_setup(kind):
        for name in PASSES:
            if text := program(setup, name):
                ast.parse(text)
                lines = [line for line in text.splitlines() if line]
                assert len(lines) <= (22 if "exception" in name or "resumed" in name else 12)


@pytest.mark.long
def test_a_program_shows_what_was_given():
    """Of arrays on any backend: the mean of 0 to 39, and all ids."""
    backend = next(b for b in ("jax", "torch", "tensorflow") if not trials.missing_package((b,)))

    def run(name):
        text = program(Setup("PyDataset"), name)
        how = {"capture_output": True, "text": True, "timeout": 120, "check": True}
        environment = os.environ | {"KERAS_BACKEND": backend}
        return subprocess.run([sys.executable, "-c", text], env=environment, **how).stdout

    assert run("predict").split()[:3] == ["[", "0.", "1."]
    assert "[19.5, 19.5]" in run("fit, epoch 1")


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(trials, "CHILD", "fake_conformance")
    monkeypatch.setattr(trials, "HANG_S", 3.0)
    return {"backend": "jax", "environment": {"PYTHONPATH": str(TESTS)}}


def test_a_pass_that_hangs_or_dies_is_a_cell_and_the_others_are_tried(fake):
    setups = [Setup("generator"), Setup("arrays"), Setup("tf.data", workers="threads")]
    done = []
    tried = try_setups(setups, **fake, watch=done.append)
    found = {(each.setup.kind, each.name): each for each in tried.cells}
    hung = found["generator", "predict"]
    assert (hung.verdict, hung.how_often) == ("hang", "3 of 3 runs")
    died = found["arrays", "evaluate"]
    assert (died.worst.text, died.how_often) == ("the process ended with 7", "3 of 3 runs")
    wrong = found["tf.data", "predict"]
    assert (wrong.verdict, wrong.how_often) == ("missing", "3 of 3 runs")
    assert {each.verdict for key, each in found.items() if each not in (hung, died, wrong)} == {
        "identical"
    }
    assert found.keys() >= {("arrays", "predict"), ("arrays", "fit resumed in mid-epoch")}
    assert (tried.keras, done[-1]) == ("3.0.0", 3)


def test_what_died_once_is_a_race(fake, tmp_path):
    environment = fake["environment"] | {"DIES_ONCE": str(tmp_path / "died")}
    tried = try_setups([Setup("arrays")], backend="jax", environment=environment)
    (died,) = [each for each in tried.cells if each.name == "evaluate"]
    assert (died.verdict, died.how_often) == ("error", "1 of 2 runs")


def test_a_keras_that_cannot_be_imported_is_an_error(fake):
    environment = fake["environment"] | {"NO_KERAS": "1"}
    with pytest.raises(TrialError, match="on jax could not be tried: ImportError: no Keras here"):
        try_setups([Setup("arrays")], backend="jax", environment=environment)


@pytest.mark.parametrize(
    ("runs", "came", "tried"),
    [(3, [TEN] * 3, 3), (3, [TEN, TEN[:9], *[TEN] * 8], 10), (1, [TEN[:9]], 1)],
)
def test_what_differs_from_run_to_run_is_tried_more_often(monkeypatch, runs, came, tried):
    given = iter(came)

    class Trial:
        def __init__(self, setup, input_):
            pass

        def run(self, names):
            return dict.fromkeys(names, next(given))

    monkeypatch.setattr(passes, "Trial", Trial)
    said = []
    setup = Setup("PyDataset", workers="threads")
    child.try_passes(
        setup, ["predict"], runs, 10, None, lambda event, **fields: said.append((event, fields))
    )
    cells = [fields for event, fields in said if event == "cell"]
    assert [each["got"] for each in cells] == [len(batches) for batches in came]
    assert len(cells) == tried


def test_what_ticks_can_end_it(fake):
    def tick():
        raise KeyError

    with pytest.raises(KeyError):
        try_setups([Setup("generator")], **fake, tick=tick)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keras", "2.15.0"), "`2.15.0` is no version of Keras 3"),
        (("--keras-backends", "theano"), "Unknown backend `theano`; choose from jax"),
        (
            ("--kinds", "lists", "--output", "x"),
            "Unknown kind of input `lists`; choose from arrays",
        ),
        (("--only", "PyDataset, 3 threads"), "is no row of the page"),
        (("--kinds", "arrays"), "`--kinds` needs `--output FOLDER`"),
    ],
)
def test_options_say_what_they_take(capsys, arguments, message):
    with pytest.raises(SystemExit) as raised:
        parse(["--matrix", *arguments])
    assert raised.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_loaders_of_this_project_need_the_keras_that_it_needs():
    text = (PROJECT / "pyproject.toml").read_text()
    assert f'"keras>={trials.OWN_SINCE[0]}.{trials.OWN_SINCE[1]}"' in text
    for kind in ("bridge", "sequence", "torch"):
        assert trials.not_there(kind, "3.10.0", "/data") == "this project needs Keras 3.12"
    assert trials.not_there("bridge", "3.12.1", "/data") is None
    assert trials.not_there("arrays", "3.10.0", "/data") is None


def test_bits_can_be_had_from_a_keras_without_view(monkeypatch):
    given = np.array([1.5, -0.0, 3e38], np.float32)
    monkeypatch.delattr(keras.ops, "view")
    supply_view()
    came = keras.ops.view(keras.ops.convert_to_tensor(given), "int32")
    assert keras.ops.convert_to_numpy(came).tolist() == given.view(np.int32).tolist()


def test_an_input_that_is_not_taken_has_one_line_and_a_cause():
    line = child.line_of(ValueError("Unrecognized data type: x=<A of 7> (of type <class 'A'>)"))
    assert line == "ValueError: Unrecognized data type"
    refused = cell("error", text=line)
    (found,) = problems([refused], lambda asked: [])
    assert cause_of(ProblemRecord.of(found)).key == "not-taken"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (
            "RuntimeError: DataLoader worker exited unexpectedly with exit code 1. Details are",
            "forked-workers-end-with-1",
        ),
        ("hang", "forked-workers-wait"),
        ("the process ended with -11", None),
    ],
)
def test_what_workers_of_torch_do_has_causes_of_its_own(line, key):
    verdict, text = ("hang", "after 60 s") if line == "hang" else ("error", line)
    (found,) = problems(
        [cell(verdict, kind="DataLoader", text=text, workers="processes")], lambda asked: []
    )
    cause = cause_of(ProblemRecord.of(found))
    assert (cause and cause.key) == key
    (alone,) = problems([cell(verdict, kind="DataLoader", text=text)], lambda asked: [])
    assert cause_of(ProblemRecord.of(alone)) is None


FOREIGN_THREAD = """
import _thread, multiprocessing, threading, time
def start():
    threading.current_thread()  # which TensorFlow's function for Python asks for too
    worker = multiprocessing.get_context("fork").Process(target=str)
    worker.start()
    worker.join()
    codes.append(worker.exitcode)
codes = []
_thread.start_new_thread(start, ())
while not codes:
    time.sleep(0.01)
print(codes[0])
"""


def test_before_a_mend_python_ends_what_foreign_threads_have_forked_with_1():
    """What the cause says of versions."""
    version = sys.version_info[:3]
    mended = version >= (3, 12, 2) or (3, 11, 8) <= version < (3, 12)
    command = [sys.executable, "-W", "ignore", "-c", FOREIGN_THREAD]  # 3.12 warns of such forks
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ("0" if mended else "1")


def test_an_error_in_a_call_of_a_model_is_told_by_its_own_line():
    bold = "\x1b[1mDataLoader worker (pid 7) exited unexpectedly with exit code 1.\x1b[0m"
    text = f"Exception encountered when calling A.call().\n\n{bold}\n\nArguments received by A:"
    line = child.line_of(RuntimeError(text))
    assert line == "RuntimeError: DataLoader worker exited unexpectedly with exit code 1."


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        (4, "seen in 3.10.0; a race, which others may have too."),
        (1, "shows up to 3.10.0; gone in 3.15.1."),
    ],
)
def test_of_a_race_that_some_versions_did_not_show_nothing_is_said_to_be_gone(runs, says):
    mark = Mark("hang", wrong_runs=1, runs=runs)
    setup = Setup("DataLoader", workers="processes")
    found = ProblemRecord(setup=setup, passes=("predict",), sort="hang", cells=1, example=mark)
    assert since([(part(keras="3.10.0"), found)], ["3.10.0", "3.15.1"]) == says


def test_versions_are_those_of_keras_3():
    assert checked_versions("3.10.0, 3.15.1") == ["3.10.0", "3.15.1"]
    with pytest.raises(VersionError, match=r"`3\.10` is no version"):
        checked_versions("3.10")


def test_passes_that_do_not_apply_with_fewer_conditions_are_not_tried(fake, monkeypatch):
    """A generator with steps has a second epoch, and one without has none."""
    asked = []

    def tried(setups, **how):
        asked.extend(setups)
        found = Found("missing" if how.get("names") is None else "identical", 10, 9, 4)
        setup = Setup("generator", steps="fewer", structure="weights")
        return Tried(
            keras="3", backend="jax", version="1", cells=(Cell(setup, "fit, epoch 2", [found]),)
        )

    start = SimpleNamespace(start=lambda *setups, **how: lambda: tried(*setups, **how))
    found = parts.start_part([Setup("generator")], None, "jax", quick=False, processes=start)()
    assert [str(each.setup) for each in found.problems] == [
        "generator, fewer steps per epoch, sample weights"
    ]
    assert Setup("generator", structure="weights") not in asked


@pytest.fixture
def processes(tmp_path):
    made = Processes(str(tmp_path))
    yield made
    made.end()


def test_setups_are_shared_out_to_processes_and_come_back_in_their_order(
    fake, processes, monkeypatch
):
    monkeypatch.setattr("keras_loader_bench.loaders.conformance.processes.MOST_SETUPS", 2)
    setups = [Setup("tf.data", structure=each) for each in AXES["structure"]]
    setups += [Setup("PyDataset", steps=each) for each in AXES["steps"]]
    done = []
    tried = processes.start(setups, **fake, watch=done.append)()
    assert list(dict.fromkeys(cell.setup for cell in tried.cells)) == setups
    assert sorted(done) == [1, 2, 3, 4, 5, 6]


def test_the_end_ends_what_runs(fake, processes, monkeypatch):
    monkeypatch.setattr(trials, "HANG_S", 600.0)
    reached = threading.Event()
    with ThreadPoolExecutor() as pool:
        # One is done, and the other one hangs.
        setups = [Setup("tf.data"), Setup("generator")]
        tried = pool.submit(processes.start(setups, **fake, watch=lambda _: reached.set()))
        assert reached.wait(60)
        processes.end()
        assert isinstance(tried.exception(10), EndedError)


def test_workers_of_an_iterator_that_was_left_are_ended():
    """Torch would wait 5 s for each that is still there when the iterator goes."""
    data = pytest.importorskip("torch.utils.data")
    left = iter(data.DataLoader(range(40), num_workers=2, multiprocessing_context="fork"))
    next(left)
    workers = multiprocessing.active_children()
    child.let_go(Setup("PyDataset"))
    before = [worker.is_alive() for worker in workers]
    child.let_go(Setup("DataLoader"))
    for worker in workers:
        worker.join(5)
    after = [worker.is_alive() for worker in workers]
    assert (before, after) == ([True] * 2, [False] * 2)


def test_workers_of_a_pool_are_left_alone():
    """They are told by their name. A pool that loses one can hang, so another process has it."""
    fork = multiprocessing.get_context("fork")
    others = multiprocessing.active_children()
    with fork.Pool(1):
        (name,) = (each.name for each in multiprocessing.active_children() if each not in others)
    worker = fork.Process(target=time.sleep, args=(60,), name=name, daemon=True)
    worker.start()
    child.let_go(Setup("DataLoader"))
    worker.join(1)
    alive = worker.is_alive()
    worker.kill()
    worker.join()
    assert alive


def test_kinds_of_which_none_is_there_are_an_error(processes, monkeypatch):
    monkeypatch.setattr(parts, "not_there", lambda *_: "it needs grain")
    with pytest.raises(TrialError, match=r"on jax\. arrays: it needs grain"):
        parts.start_part([Setup("arrays")], None, "jax", quick=False, processes=processes)


def changed(text):
    return text.upper()


def test_a_change_is_tried_in_a_copy_of_the_function(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "changed", changed)  # it is set back after the test
    known = {"module": __name__, "function": "changed"}
    with pytest.raises(MendError, match="made for another version"):
        Mend(**known, changes=(("text", "it"), ("nothing of it", ""))).apply()
    mend = Mend(**known, changes=(("text.upper()", "text.lower()"), ("return ", "return '+' + ")))
    assert changed("aB") == "AB"
    mend.apply()
    assert changed("aB") == "+ab"
    assert mend.diff == "- text.upper()\n+ text.lower()\n\n- return \n+ return '+' + "


@pytest.mark.each_backend
@pytest.mark.parametrize(
    "cause", [each for each in causes.KNOWN if each.mends], ids=lambda c: c.key
)
def test_each_change_fits_the_installed_keras(cause):
    mine = [mend for mend in cause.mends if keras.backend.backend() in mend.backends]
    for mend in mine:
        ast.parse(mend.source())
    assert mine or keras.backend.backend() != "jax"


INTERRUPTED_TWICE = """
import sys, keras, numpy as np
from keras_loader_bench.loaders.conformance.suggested import RESUMED
for mend in RESUMED if sys.argv[1] == "mended" else ():
    if keras.backend.backend() in mend.backends:
        mend.apply()

class Stop(keras.callbacks.Callback):
    begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if len(self.begun) in (2, 3) and batch == 3 + len(self.begun):
            raise OSError

for _ in range(3):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    backup = keras.callbacks.BackupAndRestore(sys.argv[2], save_freq=1)
    x = np.zeros((40, 1))
    try:
        model.fit(x, x, batch_size=4, epochs=2, verbose=0, callbacks=[backup, Stop()])
    except OSError:
        pass
print(Stop.begun)
"""


@pytest.mark.parametrize(
    ("how", "epochs"), [("as_it_is", [0, 1, 1, 0, 1]), ("mended", [0, 1, 1, 1])]
)
@pytest.mark.long
def test_a_second_interruption_goes_back_to_epoch_0(tmp_path, how, epochs):
    command = [sys.executable, "-c", INTERRUPTED_TWICE, how, str(tmp_path / "backup")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == [str(epochs)], done.stderr


def test_a_report_for_the_tracker_has_all_that_it_needs():
    cause = Cause(
        key="a",
        title="Threads lose batches",
        why="Because.",
        remedy="Do not.",
        link="https://example.org",
        explains=lambda problem: True,
        mends=(
            Mend(module="keras.src.some", function="Enqueuer.stop", changes=(("put(it)", "pass"),)),
            Mend(
                module="keras.src.more",
                function="begin",
                changes=(("no", "yes"),),
                backends=("jax", "torch"),
            ),
        ),
        where="`some.py`, `stop`",
    )
    (of,) = WHOLE.parts
    mended = replace(LOST, found=[Found("identical", 10, 10)])
    text = upstream_report(cause, [(of, of.problems[0])], lambda part, setups: [mended])
    assert text.startswith("# Threads lose batches\n\nKeras 3.15.1; jax 0.1.\n")
    assert "in `Enqueuer.stop` of `keras.src.some`:\n\n```diff\n- put(it)\n+ pass\n```" in text
    assert (
        "And in `begin` of `keras.src.more`, on jax and torch only:\n\n```diff\n- no\n+ yes\n```"
        in text
    )
    assert "**Where**: `some.py`, `stop`." in text
    assert "| jax | PyDataset, 2 threads | predict | 4 samples missing | identical |" in text
    assert "workers=2, max_queue_size=2" in text


@pytest.mark.long
def test_a_quick_matrix_finds_what_is_known_and_nothing_else(tmp_path, capfd):
    assert main(["--matrix", "--quick", "--output", str(tmp_path)]) == 0, capfd.readouterr()
    found = read(tmp_path / "conformance.json")
    for part in found.parts:
        for problem in part.problems:
            if KINDS[problem.setup.kind].own:
                assert cause_of(problem).every_input, problem
    lost = {p.backend for p in found.parts if p.rows["PyDataset, 2 threads"]["fit, epoch 1"]}
    there = {backend for backend in ("jax", "torch") if not trials.missing_package((backend,))}
    assert lost == there, "Keras loses batches on both"
    for name in ("conformance.md", "conformance.html"):
        assert (tmp_path / name).stat().st_size > 1000


RESULTS = PROJECT / "results"


def test_of_the_committed_matrix_every_cause_is_known_and_nothing_of_ours_is_wrong():
    whole = read(RESULTS / "conformance.json")
    there = {str(setup) for kind in KINDS for setup in (*every_setup(kind), *SLOW)}
    assert all(set(part.rows) <= there for part in whole.parts), "`--only` would refuse a row"
    own = set()
    assert (RESULTS / "conformance.md").read_text() == page(whole)
    for part in whole.parts:
        for problem in part.problems:
            assert cause_of(problem), problem
        for text, row in part.rows.items():
            kind = text.partition(", ")[0]
            if KINDS[kind].own and any(row.values()):
                own.add((part.backend, kind))
        for problem in part.problems:
            if KINDS[problem.setup.kind].own:
                assert cause_of(problem).every_input, problem
                own.discard((part.backend, problem.setup.kind))
    assert not own, "wrong without a problem that says why"
    newest = newest_of(whole)
    mended = {
        cause.key
        for cause, found in causes_of(whole)
        if cause and cause.mends and any(part.keras == newest for part, _ in found)
    }
    assert {path.stem for path in (RESULTS / "upstream").glob("*.md")} <= mended
