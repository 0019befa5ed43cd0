"""Several ranks of a case: asked at once, merged into one answer, and ended together."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
import suite
from conftest import TESTS
from made_runs import raw_run

from keras_loader_bench.bench.child.case_rows import CaseRows
from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.merged_answers import merged_answer
from keras_loader_bench.bench.parent.ranks import Ranks
from keras_loader_bench.bench.parent.who_waits import waits_for_data
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.sections.ranks_section import ranks_tables
from keras_loader_bench.loaders.audit.ranks import free_port
from keras_loader_bench.loaders.encoded.registry import IMAGE_LOADERS
from keras_loader_bench.loaders.registry import LOADERS, missing_package
from keras_loader_bench.loaders.system.guarded import start_unguarded

OPTIONS = {"backend": "jax", "batch_size": 32, "pixels": "float32", "samples": 1000}

CHILD = """
import faulthandler, json, os, signal, sys, time
from keras_loader_bench.bench.plan.shares import share_of
faulthandler.register(signal.SIGUSR1, file=2)
settings = json.loads(sys.argv[1])
rank = settings["rank"]
for line in sys.stdin:
    request = json.loads(line)
    method, args = request["call"], request["args"]
    answer = {"id": request["id"], "ok": None}
    if method == "round":
        answer["ok"] = {"samples": 100, "epochs": 1, "seconds": 1.0 + rank, "read_bytes": 10 * rank}
    elif method == "cpu_of_round":
        answer["ok"] = 0.5
    elif method == "time_to_first_batch":
        answer["ok"] = 0.1 * (rank + 1)
    elif method == "epoch_boundaries":
        answer["ok"] = [0.1, 0.2 - 0.1 * rank]
    elif method == "round_limits":
        answer["ok"] = {"least": 2, "most": 40, "whole_epochs": False}
    elif method == "fit_batches":
        answer["ok"] = args["batches"] * 0.01 * (1 + rank)
    elif method == "samples_of":
        answer["ok"] = 32 * args["batches"]
    elif method == "weights":
        answer["ok"] = "ab" if args["alike"] else f"{rank}"
    elif method == "audit":
        answer["ok"] = {"identical": rank == 0, "first_difference": rank and "batch 3: never came"}
    elif method == "drop_pages":
        answer["ok"] = print("dropped", args["of"], file=sys.stderr, flush=True)
    elif method == "machine":
        answer["ok"] = os.environ.get("MACHINE")
    elif method == "share":
        rows = list(range(rank * (args["epoch"] != 2), 100, 2))
        answer["ok"] = share_of(rows, 101)
    elif method == "die" and rank == 1:
        os._exit(7)
    elif method == "raise" and rank == 1:
        answer = {"id": request["id"], "error": {"type": "OSError", "message": "gone",
                  "traceback": "", "refused": False}}
    elif method == "wait for each other":
        print("stacks of rank", rank, file=sys.stderr, flush=True)
        time.sleep(600)
    elif method in ("die", "raise") or (method == "hang" and rank == 1):
        time.sleep(600)
    print(json.dumps(answer), flush=True)
"""


def start_fake(settings, descriptors, environment):
    arguments = [sys.executable, "-c", CHILD, json.dumps(settings)]
    return start_unguarded(arguments, descriptors, environment)


@pytest.fixture
def ranks(tmp_path):
    settings = {"case": {"batch_size": 32, "samples": 101, "page_cache": "warm"}}
    options = {"log": tmp_path / "log", "backend": "jax", "timeout_s": 60, "start": start_fake}
    with Ranks(settings, [os.environ] * 2, **options) as asked:
        yield asked


def test_a_round_has_the_samples_of_all_and_the_seconds_of_the_slowest(ranks):
    ranks.call("prepare_round", loader="loader", epoch=3, samples=100, epochs=1)
    assert ranks.call("round") == {"samples": 200, "epochs": 1, "seconds": 2.0, "read_bytes": 10}
    assert ranks.call("cpu_of_round") == 1.0
    assert ranks.call("time_to_first_batch", epoch=4, samples=100) == 0.2
    assert ranks.call("epoch_boundaries", epochs=3, batches=2) == [0.1, 0.2]


def test_what_each_rank_measured_is_kept_by_epoch(ranks):
    for _ in range(2):  # a pair that is measured again counts once
        for epoch in (2, 1):
            for loader in ("loader", "ceiling"):
                ranks.call("prepare_round", loader=loader, epoch=epoch, samples=100, epochs=1)
                ranks.call("round")
    ranks.call("time_to_first_batch", epoch=4, samples=100)
    first, second = ranks.records()
    assert first.machine is second.machine is None, "nobody has asked"
    assert [each.epoch for each in first.rounds] == [1, 2]
    assert (second.rank, second.time_to_first_batch_s) == (1, [0.2])
    (round_, _) = second.rounds
    assert (round_.samples, round_.seconds, round_.ceiling_seconds) == (100, 2.0, 2.0)


def test_the_machines_of_ranks_are_numbered(tmp_path):
    """A rank says which one it runs on; what tells them apart is not kept."""
    options = {"log": tmp_path / "log", "backend": "jax", "timeout_s": 60, "start": start_fake}
    machines = [{**os.environ, "MACHINE": name} for name in ("a", "b", "a")]
    with Ranks({"case": {"page_cache": "warm"}}, machines, **options) as asked:
        asked.call("import_framework")
        assert [each.machine for each in asked.records()] == [0, 1, 0]


STACKS = """
Current thread 0x01 (most recent call first):
  File "/lib/threading.py", line 1 in wait
Thread 0x02 (most recent call first):
  File "/own/photos.py", line 3 in __getitem__
{0}  File "/lib/keras/src/backend/torch/trainer.py", line 4 in fit
  File "/own/train.py", line 5 in <module>
"""


@pytest.mark.parametrize(
    ("frame", "waits"),
    [
        ("trainers/epoch_iterator.py", True),
        ("trainers/data_adapters/py_dataset_adapter.py", True),
        ("optimizers/base_optimizer.py", False),
    ],
)
def test_what_a_fit_waits_for_is_what_keras_has_called_last(frame, waits):
    here = f'  File "/lib/keras/src/{frame}", line 2 in some\n'
    assert waits_for_data(STACKS.format(here)) is waits
    assert not waits_for_data(STACKS.format(here) + STACKS.format("")), "the last stacks count"
    assert not waits_for_data("nothing")


def test_all_ranks_calibrate_in_step_by_the_slowest(ranks):
    found = ranks.call("calibrate", seconds=0.4, accelerator_seconds=2.0)
    assert found == {"samples": 32 * 20, "epochs": 1}  # of 20 ms on rank 1; by rank 0 all 40


def test_pages_are_dropped_while_no_rank_reads(tmp_path):
    """A rank that begins to read before another one has dropped would warm its cache."""
    options = {"log": tmp_path / "log", "backend": "jax", "timeout_s": 60, "start": start_fake}
    for state in ("warm", "cold"):
        case = {"batch_size": 32, "samples": 101, "page_cache": state}
        with Ranks({"case": case}, [os.environ] * 2, **options) as asked:
            for _ in range(2):
                asked.call("prepare_round", loader="loader", epoch=3, samples=100, epochs=1)
                asked.call("cpu_of_round")
            printed = [child.log() for child in asked._children]
        assert printed == ["dropped this\ndropped all\n" * 2 * (state == "cold")] * 2


def test_weights_are_the_same_where_all_ranks_have_them(ranks):
    assert ranks.call("weights", alike=True) is True
    assert ranks.call("weights", alike=False) is False


def test_an_audit_names_the_rank_whose_batches_are_wrong(ranks):
    found = ranks.call("audit", whole_epoch=True)
    assert (found["identical"], found["first_difference"]) == (False, "rank 1: batch 3: never came")
    # In the third epoch both ranks have the even rows.
    union = {"epochs": 3, "samples": 101, "missing": 51, "again": 50, "steps": [2, 2]}
    assert found["union"] == union


@pytest.mark.parametrize(
    ("how", "outcome", "message"),
    [
        ("die", "crashed", "rank 1 of 3: the child exited with 7 during `die`"),
        ("raise", "failed", "rank 1 of 3: gone"),
        ("hang", "timeout", "rank 1 of 3: no batch and no answer to `hang` for 2 s"),
    ],
)
def test_a_rank_that_fails_is_named_at_once_and_ends_the_others(tmp_path, how, outcome, message):
    began = time.monotonic()
    options = {"log": tmp_path / "log", "backend": "jax", "timeout_s": 60, "start": start_fake}
    options |= {"silence_s": 2.0 if how == "hang" else 60.0}
    with Ranks({"case": {"page_cache": "warm"}}, [os.environ] * 3, **options) as asked:
        pids = [child.pid for child in asked._children]
        with pytest.raises(CaseError, match=message) as raised:
            asked.call(how)
    assert raised.value.outcome == outcome
    assert time.monotonic() - began < 30
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_where_all_ranks_are_silent_the_logs_of_all_are_kept(tmp_path):
    """A rank that hangs in its loader, and one that waits for its gradients, look alike."""
    options = {"log": tmp_path / "log", "backend": "jax", "timeout_s": 60, "start": start_fake}
    case = {"page_cache": "warm"}
    with Ranks({"case": case}, [os.environ] * 2, silence_s=2.0, **options) as asked:
        with pytest.raises(CaseError, match="all 2 ranks: no batch and no answer to `wait"):
            asked.call("wait for each other")
        log = asked.log(10_000)
    for rank in range(2):
        assert f"== rank {rank}\nstacks of rank {rank}\n" in log


def test_the_rows_of_ranks_are_shares_of_those_of_the_case():
    alone = CaseRows(Case(bench="feed", loader="numpy", **OPTIONS), 1000, seed=0)
    case = Case(bench="feed", loader="numpy", ranks=2, **OPTIONS)
    first, second = (CaseRows(case, 1000, seed=0, rank=rank) for rank in range(2))
    rows = alone.of_epoch(1)
    assert sorted([*first.of_epoch(1), *second.of_epoch(1)]) == sorted(rows)
    assert [*first.of_epoch(1)[:32], *second.of_epoch(1)[:32]] == rows[:64].tolist()
    assert (first.samples, first.whole_batches(3), first.whole_batches(99)) == (500, 96, 500)


def test_loaders_of_one_order_have_no_ranks_and_all_benchmarks_do():
    images = OPTIONS | {"image_size": 64, "ranks": 2}
    refused = {
        name for name in IMAGE_LOADERS if Case(bench="feed", loader=name, **images).unsupported
    }
    assert refused == {name for name, entry in IMAGE_LOADERS.items() if entry.order != "any"}
    for name in LOADERS:
        assert Case(bench="feed", loader=name, ranks=2, **OPTIONS).unsupported is None
    values = {name: [value] for name, value in OPTIONS.items()} | {"loader": ["numpy"]}
    for bench in ("feed", "memory", "train"):
        assert {case.ranks for case in cases_of(bench, values | {"ranks": [1, 2]})} == {1, 2}


def test_ranks_train_together_where_keras_can():
    def reason(backend, **options):
        options = OPTIONS | {"backend": backend, "loader": "numpy"} | options
        return Case(**options).unsupported

    for backend in ("jax", "torch"):
        assert reason(backend, bench="train", ranks=2) is None
    assert "PerReplica" in reason("tensorflow", bench="train", ranks=2)
    assert (
        reason("tensorflow", bench="train") is reason("tensorflow", bench="feed", ranks=2) is None
    )


def case_of(loader, ranks, rates):
    """A feed case; the rates are those of each rank."""
    rounds = [
        {"samples": 100, "seconds": 100 / rate, "ceiling_seconds": 0.05, "epoch": 1}
        for rate in rates
    ]
    slowest = max(each["seconds"] for each in rounds)
    together = rounds[0] | {"samples": 100 * ranks, "seconds": slowest}
    processes = [
        {
            "number": number,
            "outcome": "ok",
            "rounds": [together],
            "ranks": [{"rank": r, "rounds": [each]} for r, each in enumerate(rounds)] * (ranks > 1),
        }
        for number in (1, 2, 3)
    ]
    options = OPTIONS | {"bench": "feed", "loader": loader, "ranks": ranks}
    return {"id": f"{loader}-{ranks}", "case": options, "outcome": "ok", "processes": processes}


def test_the_report_sets_ranks_beside_one():
    run = parse_run(
        raw_run([case_of("numpy", 1, [1000]), case_of("numpy", 2, [1000, 800])], schema=9)
    )
    (table,) = ranks_tables(run)
    one, two = table.lines[1:]
    assert one[:6] == ["`numpy`", "1", "32", "1.00k (1.00k - 1.00k)", "-", "-"]
    assert [text.partition(" ")[0] for text in two[:7]] == [
        "`numpy`",
        "2",
        "64",
        "1.60k",
        "0.80",
        "1.25",
        "0.40",
    ]
    assert ranks_tables(parse_run(raw_run([case_of("numpy", 1, [1000])], schema=9))) == []


def test_the_report_says_what_all_ranks_take_together():
    cold, reading = {"page_cache": "cold"}, [300 * 1024, 100 * 1024]
    feeds = [case_of("numpy", 1, [1000]), case_of("numpy", 2, [1000, 800])]
    for feed in feeds:
        feed["case"] |= cold
        for process in feed["processes"]:
            for ranks, read in zip(process["ranks"], reading, strict=False):
                ranks["rounds"][0]["read_bytes"] = read
            process["rounds"][0]["read_bytes"] = sum(reading)
    union = {"epochs": 3, "samples": 1001, "missing": 1, "again": 0, "steps": [16, 16]}
    passed = {"name": "fit, epoch 1", "verdict": "identical", "batches": 2}
    passed |= {"expected_batches": 2, "samples": 100, "expected_samples": 100}
    feeds[1]["audit"] = {"verdict": "identical", "identical": True, "passes": [passed]}
    feeds[1]["audit"]["union"] = union
    memories = [memory_case_of("numpy", ranks, {}) for ranks in (1, 2)]  # memory is never cold
    (table,) = ranks_tables(parse_run(raw_run([*feeds, *memories], schema=9)))
    headings, one, two = table.lines
    columns = headings.index("read from disk (KiB per sample)"), headings.index("most of one rank")
    assert [two[at].partition(" ")[0] for at in columns] == ["2.00", "0.75"]
    assert one[columns[1]] == "-"
    assert [line[headings.index("memory (MiB)")] for line in (one, two)] == ["10", "20"]
    given = "each of 1,001 samples once, but for 1 that come on none, in 16 steps each"
    assert given in table.text


def test_sizes_and_endings_are_told_apart_in_the_report():
    cases = []
    for samples, rate in ((1000, 1000), (2000, 500)):
        cases += [case_of("numpy", 1, [rate]), case_of("numpy", 2, [rate, rate])]
        for each in cases[-2:]:
            each["case"] |= {"samples": samples}
    cases[-1]["outcome"] = "crashed"
    tables = ranks_tables(parse_run(raw_run(cases, schema=9)))
    assert ["1,000 samples" in each.text for each in tables] == [True, False]
    small, large = (each.lines for each in tables)
    assert small[2][4].startswith("1.00 ")
    assert large[2][3] == "crashed"


def test_all_ranks_decode_at_the_same_time():
    answers = [{"samples": 100, "seconds": 0.5}, {"samples": 80, "seconds": 0.6}]
    assert merged_answer("decode", answers) == {"samples": 180, "seconds": 0.6}


def memory_case_of(loader, ranks, options):
    """A memory case whose footprint is 10 MiB for each rank."""
    readings = [
        [100 * 2**20, 0, 0, 0, 0.0, "baseline"],
        [(100 + 10 * ranks) * 2**20, 0, 0, 0, 1.0, "epoch 1"],
    ]
    memory = {"metric": "pss", "baseline": readings[0], "readings": readings}
    memory["phases"] = [{"name": name, "t": t} for *_, t, name in readings]
    case = OPTIONS | {"bench": "memory", "loader": loader, "ranks": ranks} | options
    processes = [{"number": 1, "outcome": "ok", "memory": memory}]
    return {"id": f"memory-{ranks}", "case": case, "outcome": "ok", "processes": processes}


ON_TENSORFLOW = """
import json, os, sys
rank, port = int(sys.argv[1]), int(sys.argv[2])
cluster = {"worker": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": cluster, "task": {"type": "worker", "index": rank}}
)
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras
with strategy.scope():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
data = tf.data.Dataset.from_tensor_slices((tf.zeros((64, 8)), tf.zeros((64, 1)))).batch(16)
model.fit(data, verbose=0)
"""


@pytest.mark.long
def test_on_tensorflow_keras_still_refuses():
    """When this fails, ranks can train together there too: see `TRAINS_ALONE`."""
    if reason := missing_package(("tensorflow",)):
        pytest.skip(reason)
    errors = [errors for _, errors in of_two_ranks(ON_TENSORFLOW, "tensorflow")]
    assert any("PerReplica" in text and "to a Tensor" in text for text in errors), errors


SHARDED_BY_KERAS = """
import sys
rank, port = int(sys.argv[1]), sys.argv[2]
import keras
keras.distribution.initialize(f"127.0.0.1:{port}", 2, rank)
keras.distribution.set_distribution(keras.distribution.DataParallel())
import tensorflow as tf
made = []
def make(number):
    made.append(number)
    return number
data = tf.data.Dataset.range(1600)
data = data.map(lambda n: tf.ensure_shape(tf.py_function(make, [n], tf.int64), []))
data = data.map(lambda n: (tf.fill((8,), tf.cast(n, tf.float32)), tf.fill((1,), 0.0))).batch(16)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(loss="mse")
steps = []
model.fit(data, verbose=0, callbacks=[
    keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
])
print(len(steps), len(made))
"""


@pytest.mark.long
def test_each_rank_makes_all_of_a_dataset_that_keras_shards():
    """When this fails, auto-sharding costs less; results/README.md says what it costs."""
    if reason := missing_package(("jax", "tensorflow")):
        pytest.skip(reason)
    for output, _ in of_two_ranks(SHARDED_BY_KERAS, "jax"):
        steps, made = map(int, output.splitlines()[-1].split())
        assert steps == 100
        assert 1600 <= made < 1.1 * 1600, "all of it, and what is read ahead"


def of_two_ranks(script, backend):
    """What each of two ranks prints: its output and its errors."""
    port, environment = free_port(), os.environ | {"KERAS_BACKEND": backend}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(rank), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [each.communicate(timeout=120) for each in started]
    finally:
        for each in started:
            each.kill()


trained = suite.Job(
    __name__,
    *("--ranks", "2", "--loaders", "sequence", "-k", "train", "--samples", "320"),
    *("--keras-backends", "jax,torch"),
    needs=("jax", "torch"),
).fixture()


@pytest.mark.long
def test_ranks_that_train_together_have_the_same_weights(trained):
    for case in trained.run.cases:
        assert (case.outcome, case.audit.identical) == ("ok", True), case.error
        assert [each.same_weights for each in case.processes] == [True]
    assert "same weights" in trained.report


finished = suite.Job(
    __name__,
    *("--ranks", "1,2", "--loaders", "sequence,stock_tf_data", "--samples", "640"),
    *("-k", "feed or (memory and sequence)"),
    *("--keras-backends", "tensorflow"),
).fixture()


@pytest.mark.long
def test_a_run_of_two_ranks_is_audited_and_reported(finished):
    feeds = (each for each in finished.run.cases if each.case.bench == "feed")
    found = {(each.case.loader, each.case.ranks): each for each in feeds}
    memory = [each for each in finished.run.cases if each.case.bench == "memory"]
    assert [each.outcome for each in memory] == ["ok", "ok"]
    for loader in ("sequence", "stock_tf_data"):
        for ranks in (1, 2):
            case = found[loader, ranks]
            assert (case.outcome, case.audit.identical) == ("ok", True), case.error
        (process,) = found[loader, 2].processes
        assert [each.rank for each in process.ranks] == [0, 1]
        assert len(process.ranks[0].rounds) == len(process.rounds)
        assert process.rounds[0].samples == 2 * process.ranks[0].rounds[0].samples
        union = found[loader, 2].audit.union
        assert (union.missing, union.again, union.steps) == (0, 0, [5, 5])
    assert "## Several ranks" in finished.report
    assert "are given each of 640 samples once, in 5 steps each" in finished.report
    assert "| memory (MiB) |" in finished.report
    assert not finished.left


silent = [
    suite.Job(
        __name__,
        *("--ranks", "2", "--loaders", "silent", "-k", "train", "--samples", "1280"),
        *("--silence-timeout", "24", "--keras-backends", backend),
        PYTHONPATH=str(TESTS / "faulty"),
        needs=(backend,),
    ).fixture()
    for backend in ("jax", "torch")
]
silent_on_jax, silent_on_torch = silent


@pytest.mark.long
@pytest.mark.parametrize("name", ["silent_on_jax", "silent_on_torch"])
def test_the_rank_is_named_that_all_others_wait_for_in_training(request, name):
    """By where the `fit` of each stands: both are silent."""
    (case,) = request.getfixturevalue(name).run.cases
    assert case.outcome == "timeout"
    found = r"rank [01] of 2 waits for data, and the others for it: no batch and no answer"
    assert re.match(found, case.error.message), case.error
    assert case.duration_s < 120
