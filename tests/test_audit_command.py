"""`keras-loader-bench audit` finds what is wrong with any input, and nothing where nothing is."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache

import keras
import pytest
from conftest import PACKAGE, PROJECT, TESTS
from suite import processes_of

from keras_loader_bench.loaders.audit import child as subject
from keras_loader_bench.loaders.audit import parent as process
from keras_loader_bench.loaders.audit.__main__ import main
from keras_loader_bench.loaders.audit.parent import AuditRun
from keras_loader_bench.loaders.audit.texts import terminal as report
from keras_loader_bench.loaders.registry import missing_package

AUDITED = TESTS / "audited"
PACKAGES = {"tf_inputs": "tensorflow", "torch_inputs": "torch", "grain_inputs": "grain"}
"""Modules of inputs -> what they need; their tests are skipped without it."""

# Keras says so of every input that does not tell its length.
RUNS_OUT = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "keras_loader_bench.loaders.audit", *arguments],
        cwd=AUDITED,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@cache
def command(*arguments):
    """The command as a person starts it: exit status, output and errors."""
    started = start(*arguments)
    output, errors = started.communicate(timeout=200)
    return started.returncode, output, errors


@pytest.fixture(scope="module", autouse=True)
def hanging(tmp_path_factory):
    """An audit of an input that hangs; started first, because the others need not wait for it."""
    home = str(tmp_path_factory.mktemp("keras_home"))
    with start("inputs:HangsLater", "--timeout", "40", KERAS_HOME=home) as started:
        yield started
        if started.poll() is None:
            started.send_signal(signal.SIGINT)


@pytest.fixture
def audited(monkeypatch):
    """An audit in this process: text and exit status; for what needs no process of its own."""
    monkeypatch.syspath_prepend(AUDITED)

    def audit(name, *, shuffle=True, runs=1, **asked):
        if package := PACKAGES.get(name.partition(":")[0]):
            pytest.importorskip(package)
        settings = {"target": name, "backend": None, "steps": None, "batches": None}
        settings |= {"shuffle": shuffle, "patience_s": 60, "samples": None, "identify": None}
        settings |= asked
        done = []
        for _ in range(runs):
            events = []

            def report_event(event, _events=events, **fields):
                _events.append(json.loads(json.dumps({"event": event, **fields})))

            subject.run(settings, report_event)
            done.append(AuditRun(events=tuple(events), timed_out=False, exit_status=0, log=""))
        return report.render(name, done, 600)

    return audit


def unlike_progress(errors):
    return [line for line in errors.splitlines() if not re.match(r"run \d of 2, \d+ s: ", line)]


def rows(text):
    """The table: pass -> its other columns."""
    table = text.split("\n\n")[1].splitlines()[1:]
    return {line[:12].strip(): line[12:].split(maxsplit=3) for line in table}


# What the audit is for.


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.long
def test_the_failure_of_keras_workers_is_found_on(backend):
    if reason := missing_package((backend,)):
        pytest.skip(reason)
    status, output, errors = command("inputs:stock", "--no-shuffle", "--keras-backend", backend)
    outdated = (
        f"Keras {keras.__version__} no longer gives the model what it gave with workers=2 on "
        f"{backend}: correct `LOADERS['stock_sequence'].known_failure`, and this test.\n{output}"
    )
    assert status == 1, outdated + errors
    table = rows(output)
    # Keras' workers read up to eleven batches ahead; on a busy machine they get less far.
    for name in ("fit, epoch 1", "evaluate"):
        batches, missing, repeated, verdict = table[name]
        assert (batches, missing, verdict) == ("30", repeated, "missing or repeated"), outdated
        assert 1 < int(missing) <= 11, outdated
    lost = int(table["fit, epoch 1"][1])
    right = ["30", "0", "0", "identical"]
    assert (table["predict"] == right) == (backend == "torch"), outdated
    where = f"batches {30 - lost}-29 never came and batches 1-{lost} came more than once"
    assert f"fit, epoch 1: {where}" in output
    assert "https://github.com/keras-team/keras/pull/20123" in output
    assert "`from keras_loader_bench.loaders import bridge`" in output
    assert "`model.fit(bridge(stock()), ...)`" in output


@pytest.mark.long
def test_the_same_input_is_right_on_tensorflow():
    if reason := missing_package(("tensorflow",)):
        pytest.skip(reason)
    status, output, errors = command(
        "inputs:stock", "--no-shuffle", "--keras-backend", "tensorflow"
    )
    assert (status, unlike_progress(errors)) == (0, []), output
    passes = ["fit, epoch 1", "fit, epoch 2", "evaluate", "predict"]
    assert [rows(output)[name] for name in passes] == [["30", "0", "0", "identical"]] * 4
    assert output.startswith(
        "inputs:stock: Numbers, a PyDataset with workers=2; 30 batches of 4, the last of 3, 119 "
    )
    assert f"\nKeras {keras.__version__} on TensorFlow " in output
    assert output.splitlines()[-1].startswith("identical: ")


# Inputs of every kind.


@RUNS_OUT
@pytest.mark.parametrize(
    ("name", "steps", "verdict"),
    [
        ("inputs:healthy", None, "identical"),
        ("inputs:Namespace.inner", None, "identical"),
        ("inputs:Numbers", None, "identical"),
        ("inputs:Endless", 5, "identical"),
        ("inputs:Reshuffles", None, "complete"),
        ("inputs:ReshufflesAndDropsLast", None, "complete, except for less than a batch"),
        ("inputs:generator", None, "identical"),
        ("inputs:endless_generator", 5, "identical"),
        ("inputs:generator_of_dictionaries", None, "identical"),
        ("inputs:arrays", None, "identical"),
        ("inputs:just_x", None, "identical"),
        ("inputs:weighted_arrays", None, "identical"),
        ("inputs:wide_arrays", None, "identical"),
        ("inputs:arrays", 2, "identical"),
        ("inputs:arrays", 4, "identical"),
        ("inputs:healthy", 10, "identical"),
        ("tf_inputs:ordered", 10, "identical"),
        ("torch_inputs:ordered", 10, "identical"),
        ("tf_inputs:ordered", None, "identical"),
        ("tf_inputs:shuffled", None, "complete"),
        ("tf_inputs:drops_last", None, "complete, except for less than a batch"),
        ("tf_inputs:endless", 10, "identical"),
        ("tf_inputs:shuffled_endless", 10, "complete"),
        ("tf_inputs:unknown_length", None, "identical"),
        ("torch_inputs:ordered", None, "identical"),
        ("torch_inputs:shuffled", None, "complete"),
        ("grain_inputs:ordered", None, "identical"),
        ("grain_inputs:shuffled", None, "identical"),
        ("grain_inputs:loader", None, "identical"),
        ("grain_inputs:endless", 5, "identical"),
    ],
)
def test_nothing_is_wrong_with(audited, name, steps, verdict):
    text, status = audited(name, steps=steps, shuffle=False)
    assert status == 0, text
    assert text.splitlines()[-1].startswith(f"{verdict}: "), text


def test_batches_that_keras_shuffles_are_complete(audited):
    text, status = audited("inputs:healthy", runs=2)
    assert status == 0
    assert "shuffle=True" in text
    assert rows(text)["fit, epoch 1"] == ["10", "0", "0", "complete"]
    assert rows(text)["evaluate"] == ["10", "0", "0", "identical"]
    assert "second run                                same batches" in text
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


# What is wrong has a name.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DropsLater", "fit, epoch 1: batch 7 never came and batch 0 came more than once. First"),
        ("ChangesAValueLater", "batch 3: sample 2 has other values; the largest difference is 1 "),
        ("RaisesLater", r"`evaluate` raised KeyError: 'colour\x1b[31m'"),
        ("Raises", "reading it directly raised KeyError: 'never'"),
    ],
)
def test_what_is_wrong_is_named(audited, name, said):
    text, status = audited(f"inputs:{name}", shuffle=False)
    assert status == 1
    assert said in " ".join(text.split())
    assert text.splitlines()[-1].endswith(("problem", "problems"))


@RUNS_OUT
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("inputs:healthy", 4),
        ("inputs:Endless", 4),
        ("inputs:endless_generator", 4),
        ("inputs:arrays", 2),
        ("tf_inputs:endless", 4),
        ("torch_inputs:ordered", 4),
    ],
)
def test_a_look_is_at_the_first_batches_of_each_pass(audited, name, seen):
    text, status = audited(name, batches=seen)
    assert status == 0, text
    said = " ".join(text.split())
    assert (
        f"identical: every pass got the first {seen} batches of the direct read, in order" in said
    )
    assert f"only the first {seen} batches of each pass were audited (--batches)" in said
    assert rows(text)["fit, epoch 2"] == [str(seen), "0", "0", "identical"]


@RUNS_OUT
@pytest.mark.parametrize("name", ["healthy", "generator", "arrays"])
def test_a_look_at_more_than_there_is_is_an_audit(audited, name):
    text, status = audited(f"inputs:{name}", batches=50, shuffle=False)
    assert status == 0, text
    assert "--batches" not in text


def test_samples_of_arrays_that_keras_shuffles_are_complete(audited):
    text, status = audited("inputs:arrays")
    assert status == 0, text
    assert "fit(x, y, batch_size=32, epochs=2, shuffle=True)" in text
    assert rows(text)["fit, epoch 1"] == ["4", "0", "0", "complete"]
    assert rows(text)["evaluate"] == ["4", "0", "0", "identical"]
    assert "Keras itself makes the batches of arrays, of 32 samples by default" in text


def test_steps_that_are_all_batches_leave_the_shuffling_to_keras(audited):
    text, status = audited("inputs:healthy", steps=10)
    assert status == 0, text
    assert "steps_per_epoch=10, shuffle=True" in text
    assert rows(text)["fit, epoch 2"] == ["10", "0", "0", "complete"]


def test_contents_that_cannot_be_judged_are_no_problem_and_not_faultless(audited):
    text, status = audited("inputs:Augments", shuffle=False, runs=2)
    assert status == 3
    said = "Contents cannot be judged: two direct readings of the input had different contents."
    assert said in " ".join(text.split())
    assert text.splitlines()[-1].startswith("not judged: the contents; ")


@pytest.mark.parametrize("asked", [{"batches": 3}, {"steps": 5}])
def test_a_part_of_what_shuffles_is_not_judged(audited, asked):
    text, status = audited("inputs:Reshuffles", **asked)
    assert status == 3, text
    assert (
        "batches" not in asked
        or "An input that shuffles begins each pass with other samples" in " ".join(text.split())
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("FailsInTheMiddle", "reading it directly raised OSError: no batch 7 (after 7 batches)"),
        ("FailsInFit", "OSError: too many files (after 5 batches)"),
        ("fails_in_a_worker", "OSError: no row 13 (after 3 batches)"),
    ],
)
def test_where_an_input_fails_is_said(audited, name, said):
    text, status = audited(f"inputs:{name}", shuffle=False)
    assert status == 1
    assert said in " ".join(text.split())


def test_an_order_of_one_run_alone_is_named(audited):
    text, status = audited("inputs:UnseededOrder", runs=2)
    assert status == 1
    assert "second run                                different batches" in text
    said = "read directly, the second had the same samples in another order, from batch"
    assert said in " ".join(text.split())


def test_an_input_that_repeats_by_itself_is_named(audited):
    text, status = audited("inputs:GivesABatchTwice")
    assert status == 0
    assert "Note: the input itself repeats: read directly, batch 7 equals batch 6." in text


def test_a_traceback_is_shown_once_from_the_users_code_on(audited):
    text, _ = audited("inputs:RaisesLater")
    assert text.count("Traceback") == 1
    assert "in late" in text
    assert "passes.py" not in text


@pytest.mark.parametrize(
    ("name", "steps", "said"),
    [
        ("inputs:none", None, "`inputs` has no attribute `none`."),
        ("inputs:Namespace.none", None, "`inputs:Namespace` has no attribute `none`."),
        ("inputs:nothing", None, "`inputs:nothing` is of type `int`; an audit needs a PyDataset,"),
        ("inputs:returns_a_list", None, "returned a value of type `list`; an audit needs"),
        ("inputs:made_generator", None, "name the function that makes it."),
        ("inputs:NeedsArguments", None, "missing a required argument: 'batches'; name a function"),
        ("inputs:Endless", None, "is an endless PyDataset; give the number of batches per epoch"),
        ("tf_inputs:endless", None, "is an endless tf.data dataset; give the number of batches"),
        ("grain_inputs:endless", None, "is an endless grain dataset; give the number of batches"),
        ("inputs:FloatLength", None, "`FloatLength.__len__` must return the number of batches as"),
        ("inputs:MethodForAProperty", None, "`MethodForAProperty.num_batches` is a method, but"),
        ("inputs:uneven_arrays", None, "must have the same number of samples, got [90, 100]"),
        ("inputs:healthy", 6, "takes 12 batches for two epochs, and `inputs:healthy` ended after"),
        ("inputs:fails", None, "error: loading `inputs:fails` raised RuntimeError: no data today"),
        ("inputs.none:x", None, "There is no module `inputs.none`"),
    ],
)
def test_what_cannot_be_loaded_is_named(audited, name, steps, said):
    text, status = audited(name, steps=steps)
    assert status == 2
    assert said in " ".join(text.split())


def test_a_generator_without_an_end_is_given_up(audited, monkeypatch):
    monkeypatch.setattr("keras_loader_bench.loaders.audit.inputs.subject.MAX_BATCHES", 50)
    text, status = audited("inputs:endless_generator")
    assert status == 2
    text = " ".join(text.split())
    assert "did not end within 50 batches (0 s); if it is endless, give the number of" in text


@pytest.mark.parametrize(
    "name", ["inputs:endless_generator", "grain_inputs:endless_without_length"]
)
def test_an_input_without_a_length_is_not_waited_for(audited, name):
    text, status = audited(name, patience_s=0.2)
    assert status == 2
    assert "per epoch with --steps-per-epoch N; if it is long, look at the" in " ".join(
        text.split()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inputs"], "is named as `module:attribute`, such as `train:my_sequence`, got `inputs`."),
        (["inputs:"], "got `inputs:`."),
        (["inputs:a b"], "got `inputs:a b`."),
        (["no_such_module_here:x"], "There is no module `no_such_module_here`, neither in "),
        (["inputs:x", "--keras-backend", "mxnet"], "invalid choice: 'mxnet'"),
        (["inputs:x", "--steps-per-epoch", "0"], "must be a positive integer, got `0`"),
        (["inputs:x", "--timeout", "nan"], "must be a positive number of seconds, got `nan`"),
        (["inputs:x", "--batches", "2", "--steps-per-epoch", "2"], "--batches looks at the start"),
    ],
)
def test_wrong_arguments_are_named(monkeypatch, capsys, arguments, said):
    monkeypatch.syspath_prepend(AUDITED)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


def test_a_backend_that_is_not_installed_is_named_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr("keras_loader_bench.loaders.registry.find_spec", lambda name: None)
    monkeypatch.syspath_prepend(AUDITED)
    with pytest.raises(SystemExit, match="2"):
        main(["inputs:x", "--keras-backend", "jax"])
    assert "pip install jax" in capsys.readouterr().err


# Processes.


def test_a_fit_that_hangs_is_named(hanging):
    output, _ = hanging.communicate()
    assert hanging.returncode == 1
    assert "`fit` did not finish within 40 s" in output


@pytest.mark.long
def test_an_input_that_ends_the_process_is_named():
    status, output, _ = command(
        "inputs:EndsTheProcessLater", "--keras-backend", keras.backend.backend()
    )
    assert status == 1
    assert "`fit` ended the process with exit status 3; its last output was:" in output
    assert "the input has had enough" in output


def test_ctrl_c_ends_all_processes(keras_home):
    started = start("inputs:healthy")
    deadline = time.monotonic() + 30
    while len(processes_of(keras_home)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)  # the first of a new process' milliseconds are still the parent's code
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    assert (started.returncode, errors.splitlines()[-1]) == (130, "interrupted")
    assert processes_of(keras_home) == []


def test_a_run_out_of_time_ends_with_its_children(monkeypatch, keras_home):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(AUDITED), str(PACKAGE)]))
    run = process.run("sleeper", {}, environment={}, timeout_s=3)
    assert run.timed_out
    assert run.event("stage") == {"event": "stage", "name": "fit"}
    assert run.log == "two processes sleep"
    assert processes_of(keras_home) == []


def test_the_command_imports_no_framework():
    code = (
        "import sys, keras_loader_bench.loaders.audit.__main__;"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
