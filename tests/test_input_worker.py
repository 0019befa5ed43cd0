"""Inputs of a known cost: rates, waits and parts are what arithmetic says, on every backend."""

import time
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
from conftest import TESTS
from registered import BACKEND

from keras_loader_bench.bench.child.inputs.batch_form import described, form_of, zeros_like
from keras_loader_bench.bench.child.inputs.input_models import ModelError, NoModelError, input_model
from keras_loader_bench.bench.child.inputs.input_round import (
    AUDIT_SECONDS,
    LEAST_BATCHES,
    RECORDING_SECONDS,
    audited_batches,
    size_of_round,
)
from keras_loader_bench.bench.child.inputs.input_worker import InputWorker
from keras_loader_bench.bench.child.inputs.timed_input import Clocks, cost_of_a_clock, timed_input
from keras_loader_bench.bench.plan.inputs import cases_of_inputs
from keras_loader_bench.loaders.audit.inputs.target import TargetError

pytestmark = pytest.mark.each_backend

STEP_S = 0.02
"""Of the model in `paced_inputs`."""


@pytest.fixture(autouse=True)
def audited(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS / "audited"))


def worker(name, *, bench="train", model="paced_inputs:slow_step", **options):
    values = {"backend": [BACKEND], "model": [model]}
    (case,) = cases_of_inputs(bench, [f"paced_inputs:{name}"], values)
    made = InputWorker(case=asdict(replace(case, **options)), seed=0)
    made.import_framework()
    for request in ("look", "make_model", "make_ceiling", "make_loader"):
        getattr(made, request)()
    return made


def round_of(made, loader, batches):
    made.prepare_round(loader=loader, epoch=0, batches=batches)
    return made.round()


def seconds_per_batch(made, loader, batches=25):
    found = [round_of(made, loader, batches)["seconds"] for _ in range(3)]
    return min(found) / (batches - 1)


def plain_fit(model, name, batches=25):
    """Return the seconds of a batch in `fit` itself, by a clock of this module."""
    import paced_inputs

    ends, found = [], []
    end = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    for _ in range(3):
        ends.clear()
        data = getattr(paced_inputs, name)()
        model.fit(data, steps_per_epoch=batches, callbacks=[end], verbose=0)
        found.append((ends[-1] - ends[0]) / (batches - 1))
    return min(found)


@pytest.mark.measures
@pytest.mark.parametrize(("name", "seconds"), [("ten_ms", 0.01), ("forty_ms", 0.04)])
def test_the_feed_rate_is_that_of_the_input(name, seconds):
    """And of Keras itself, which takes 1 to 2 ms for each batch."""
    made = worker(name, bench="feed")
    made.warm_up(batches=3)
    found = seconds_per_batch(made, "loader")
    assert seconds < found == pytest.approx(plain_fit(made._model, name), rel=0.05)
    alone = made.read_alone(batches=25)
    assert alone["seconds"] == pytest.approx(24 * seconds, rel=0.05)
    assert alone["samples"] == 24 * 8


@pytest.mark.measures
@pytest.mark.parametrize(
    ("name", "seconds"), [("ten_ms", 0.01), ("forty_ms", 0.04), ("read_ahead", 0.0)]
)
def test_the_wait_is_the_share_of_the_input(name, seconds):
    made = worker(name)
    made.warm_up(batches=3)
    ceiling = seconds_per_batch(made, "ceiling")
    loader = seconds_per_batch(made, "loader")
    # On TensorFlow Keras reads the next batch while the model trains on this one.
    beside = BACKEND == "tensorflow"
    expected = (
        max(0.0, 1 - ceiling / seconds) if beside and seconds else seconds / (ceiling + seconds)
    )
    assert ceiling >= STEP_S
    assert 1 - ceiling / loader == pytest.approx(expected, abs=0.03)


@pytest.mark.measures
def test_the_parts_of_a_batch_are_what_they_take():
    made = worker("forty_ms")
    made.warm_up(batches=3)
    parts = made.parts(batches=20)
    assert parts["getitem"] == pytest.approx(0.04, rel=0.1)
    assert parts["copy"] < 0.004
    assert parts["conversion"] < 0.004
    assert parts["clock"] < 20e-6


@pytest.mark.measures
def test_a_clock_costs_less_than_20_microseconds():
    assert min(cost_of_a_clock() for _ in range(3)) < 20e-6


def test_an_input_is_described_by_its_first_batches():
    about = worker("ten_ms", bench="feed").look()
    assert about["kind"] == "PyDataset"
    assert about["type"] == "Paced"
    assert about["arrays"] == {"x/numbers": "float32 (6,)", "y": "int32 ()"}
    assert (about["batches"], about["samples"], about["batch_sizes"]) == (100, 800, [8, 8])
    assert not about["endless"]


def test_a_round_has_so_many_batches_and_their_samples():
    made = worker("ten_ms", bench="feed")
    found = round_of(made, "loader", 5)
    assert (found["batches"], found["epochs"], found["samples"]) == (5, 1, 4 * 8)


def test_an_input_that_ends_early_is_named():
    made = worker("ten_ms", bench="feed")
    made._feed.value().batches = 4
    early = pytest.raises(RuntimeError, match="was to take 10 batches and ended after 4")
    with pytest.warns(UserWarning, match="ran out of data"), early:
        round_of(made, "loader", 10)


def test_more_steps_than_an_epoch_has_are_refused():
    with pytest.raises(TargetError, match="asks for more batches than the 100"):
        worker("ten_ms", bench="feed", steps=101)


def test_what_is_timed_is_delivered_as_it_is(tmp_path):
    import paced_inputs

    clocks = Clocks()
    own = paced_inputs.Paced(0.001, batches=3)
    timed = timed_input(own, "PyDataset", clocks)
    for number in range(3):
        x, y = timed[number]
        assert x["numbers"][0, 0] == y[0] == number
    assert clocks.calls == {"getitem": 3}
    assert clocks.per_batch()["getitem"] > 0.001
    generator = timed_input(iter(x for x in "abc"), "generator", clocks)
    assert list(generator) == ["a", "b", "c"]
    assert timed_input(own, "tf.data dataset", clocks) is None


def test_the_dataset_and_the_collation_of_a_data_loader_are_timed():
    torch = pytest.importorskip("torch")
    clocks = Clocks()

    def collate(rows):
        time.sleep(0.002)
        return torch.stack(rows)

    loader = torch.utils.data.DataLoader(
        torch.arange(12.0)[:, None], batch_size=4, collate_fn=collate
    )
    batches = list(timed_input(loader, "torch DataLoader", clocks))
    assert [float(batch.sum()) for batch in batches] == [6.0, 22.0, 38.0]
    assert clocks.calls == {"dataset": 12, "collate": 3}
    assert clocks.per_batch()["collate"] > 0.002
    processes = torch.utils.data.DataLoader(torch.arange(4), num_workers=1)
    assert timed_input(processes, "torch DataLoader", clocks) is None


def test_a_round_ends_though_each_fit_takes_long_to_begin():
    """As that of an input whose processes are started anew for each epoch."""
    known = {"each": 0.001, "most": 10, "step": 1}
    assert size_of_round(0.8, whole=0.012, **known) == {"batches": 10, "epochs": 20}
    assert size_of_round(0.8, whole=0.6, **known) == {"batches": 10, "epochs": 8}
    assert size_of_round(0.8, whole=20.0, **known) == {"batches": 10, "epochs": 1}
    assert size_of_round(0.8, each=0.1, whole=1.2, most=10**9, step=5)["batches"] == 15


def test_an_audit_takes_seconds_however_fast_an_input_is():
    assert audited_batches(1e-6) * RECORDING_SECONDS == pytest.approx(AUDIT_SECONDS)
    assert audited_batches(0.1) == 40
    assert audited_batches(10.0) == LEAST_BATCHES


def test_a_form_can_be_made_again():
    batch = {"a": np.zeros((2, 3), np.uint8)}, np.zeros(2, np.float32), None
    form = form_of(batch)
    assert form == [
        {"a": {"dtype": "uint8", "shape": [2, 3]}},
        {"dtype": "float32", "shape": [2]},
        None,
    ]
    assert form_of(zeros_like(form)) == form


def test_names_of_any_length_are_cut():
    batch = {"a" * 10**7: np.zeros((2, 3), np.uint8)}
    for names in (form_of(batch), described(batch)):
        (name,) = names
        assert "10,000,00" in name
        assert len(name) < 3000


NO_TENSOR = "cannot be given `x`, of which Keras makes no tensor" if BACKEND == "torch" else None
"""What is said of sparse and ragged tensors, which torch has not."""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("odd_inputs:strings", "takes no text, and a batch has an array of <U"),
        ("odd_inputs:objects", "takes no text, and a batch has an array of object"),
        ("odd_inputs:four_parts", "it is a tuple of 4"),
        ("odd_inputs:labels_in_a_list", "`y` is a list that holds an int"),
        ("inputs:Endless", "`inputs:Endless` is an endless PyDataset"),
        ("odd_inputs:EmptyLast", "batch 10 has no samples"),
        ("odd_inputs:nan", None),
        ("odd_inputs:padded", None),
        *((name, NO_TENSOR) for name in ("odd_inputs:tf_ragged", "odd_inputs:tf_sparse")),
        ("inputs:weighted_arrays", None),
        ("inputs:generator_of_dictionaries", None),
        ("inputs:Wide", None),
    ],
)
# Of the audit: Keras asks a generator for one batch more than it has, and warns of it.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_every_kind_of_input_gets_an_answer(name, said):
    """It is measured and audited, or one sentence says what is wrong with it."""
    answer = answer_of(name)
    assert said in (answer or "") if said else answer is None


def answer_of(name):
    (case,) = cases_of_inputs("feed", [name], {"backend": [BACKEND]})
    made = InputWorker(case=asdict(case), seed=0)
    made.import_framework()
    try:
        for request in ("look", "make_model", "make_ceiling", "make_loader"):
            getattr(made, request)()
        size = made.calibrate(seconds=0.01, accelerator_seconds=0.01)
        for loader in ("ceiling", "loader"):
            made.prepare_round(loader=loader, epoch=0, **size)
            made.round()
        return made.audit(whole_epoch=True)["first_difference"]
    except (TargetError, ValueError) as error:
        return str(error)


def test_a_model_that_cannot_be_trained_says_why():
    with pytest.raises(ModelError, match="`paced_inputs:not_compiled` is not compiled"):
        input_model("paced_inputs:not_compiled", None)
    with pytest.raises(ModelError, match="is of type `int`; `--model` takes a compiled"):
        input_model("paced_inputs:no_model", None)
    with pytest.raises(NoModelError, match="the suite's CNN takes images"):
        input_model("cnn", [{"dtype": "float32", "shape": [8, 6]}])
