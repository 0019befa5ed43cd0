"""What is tried with an input changes nothing but what it says, on every backend."""

import time

import keras
import numpy as np
import pytest

from keras_loader_bench.bench.child.inputs.input_audit import audit_input
from keras_loader_bench.bench.child.inputs.joined_batches import joined, joined_loader
from keras_loader_bench.bench.child.inputs.narrow_dtypes import NarrowDtypes, narrowest
from keras_loader_bench.bench.child.inputs.remedies import RemedyError, apply_remedy
from keras_loader_bench.bench.child.inputs.timed_functions import timed_functions
from keras_loader_bench.bench.child.inputs.timed_input import Clocks
from keras_loader_bench.loaders.audit.batches.recording import as_arrays
from keras_loader_bench.loaders.audit.inputs.kinds import kind_of, read_by_hand


class Seven(keras.utils.PyDataset):
    """Seven batches of 4, the last one of 2; a dictionary, labels and weights."""

    calls: tuple[str, ...] = ()

    def __len__(self):
        return 7

    def __getitem__(self, index):
        rows = np.arange(4 * index, min(4 * index + 4, 26))
        x = {"a": rows[:, None].astype("float32")}
        return x, rows.astype("int32"), np.ones(len(rows), "float32")

    def on_epoch_end(self):
        self.calls += ("end",)


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.range(26).map(lambda row: (tf.cast(row, tf.float32), row)).batch(4)


def data_loader(**how):
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.arange(26.0), torch.arange(26))
    return torch.utils.data.DataLoader(rows, batch_size=4, **how)


INPUTS = {"PyDataset": Seven, "tf.data": tf_data, "DataLoader": data_loader}


def labels_of(data):
    return [np.asarray(batch[1]).tolist() for batch in read_by_hand(data, kind_of(data))]


def doubled(data):
    return apply_remedy("doubled", data, kind_of(data), on_batch=lambda: None)


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_two_batches_become_one(make):
    batches = [list(range(start, min(start + 8, 26))) for start in range(0, 26, 8)]
    assert labels_of(doubled(make())) == batches


def test_a_structure_stays_what_it_is():
    (x, y, weights), *_ = read_by_hand(doubled(Seven()), "PyDataset")
    assert x["a"].tolist() == [[row] for row in range(8)]
    assert (y.dtype, weights.shape) == (np.int32, (8,))
    x, y = joined([[np.zeros(2), None], [np.ones(2), None]])
    assert (x.tolist(), y) == ([0, 0, 1, 1], None)


def test_an_epoch_ends_as_before():
    own = Seven()
    labels_of(doubled(own))
    assert own.calls == ("end",)


def test_a_data_loader_keeps_its_options_and_may_refuse():
    torch = pytest.importorskip("torch")
    made = joined_loader(data_loader(shuffle=True, drop_last=True, generator=torch.Generator()))
    assert (made.batch_size, made.drop_last, len(made)) == (8, True, 3)
    sampler = torch.utils.data.BatchSampler(range(26), 4, False)
    own = type("Own", (type(sampler),), {})(range(26), 4, False)
    loader = torch.utils.data.DataLoader(range(26), batch_sampler=own)
    with pytest.raises(RemedyError, match="makes its batches itself"):
        apply_remedy("doubled", loader, "torch DataLoader", on_batch=lambda: None)


def test_lists_are_kept_as_the_batches_that_they_are():
    kept = apply_remedy("in_memory", data_loader(), "torch DataLoader", on_batch=lambda: None)
    assert [len(batch) for batch in read_by_hand(kept, "PyDataset")] == [2] * 7


@pytest.mark.each_backend
def test_joined_batches_are_audited_as_what_they_are():
    found = audit_input("test_input_remedies:Seven", made=lambda: doubled(Seven()))
    assert found["identical"], found["first_difference"]
    assert (found["batches"], found["samples"]) == (4, 26)


def arrays():
    rows = np.arange(26)
    return {"x": {"a": rows.astype("float32")}, "y": rows}


def generator():
    return ((rows["a"], y) for rows, y, _ in read_by_hand(Seven(), "PyDataset"))


def grain_dataset():
    grain = pytest.importorskip("grain")
    return grain.MapDataset.source([(np.arange(4.0), np.arange(4))] * 3)


ALL = INPUTS | {"arrays": arrays, "generator": generator, "grain": grain_dataset}


def narrowed(data, dtype="uint8"):
    kind = kind_of(data)
    narrow = {"x": dtype, "x/a": dtype}
    return apply_remedy("narrow", data, kind, narrow=narrow, on_batch=lambda: None)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_narrow_arrays_hold_the_same_values(make, dtype):
    own, cast = make(), narrowed(make(), dtype)
    assert kind_of(cast) == kind_of(own)
    dtypes = set()
    for before, after in zip(*(read_by_hand(d, kind_of(d)) for d in (own, cast)), strict=True):
        one, other = (as_arrays(tuple(b) if isinstance(b, list) else b) for b in (before, after))
        assert one.keys() == other.keys()
        dtypes |= {str(other[name].dtype) for name in one if name in ("x", "x/a")}
        for name in one:
            assert np.array_equal(one[name], other[name])
            assert name in ("x", "x/a") or one[name].dtype == other[name].dtype
    # Keras gives the floats of arrays its own dtype.
    assert dtypes == {"float32" if make is arrays and dtype == "float16" else dtype}


@pytest.mark.long
def test_worker_processes_cast_as_well():
    own = data_loader(num_workers=1, multiprocessing_context="spawn")
    (x, _), *_ = narrowed(own)
    assert (str(x.dtype), x.tolist()) == ("torch.uint8", [0, 1, 2, 3])
    assert own.collate_fn is not narrowed(own).collate_fn


@pytest.mark.each_backend
@pytest.mark.parametrize(
    ("extra", "verdict"), [(0.0, "identical"), (0.5, "other_values"), (250.0, "other_values")]
)
def test_narrow_batches_are_audited_against_those_of_the_input(extra, verdict, monkeypatch):
    class Own(Seven):
        def __getitem__(self, index):
            x, y, weights = super().__getitem__(index)
            # The values of the last batches are not those of the first.
            return {"a": x["a"] + np.float32(extra * (index > 3))}, y, weights

    monkeypatch.setattr("test_input_remedies.Own", Own, raising=False)
    own = Own()
    how = {"fed": lambda: {"x": narrowed(own)}, "ordered": True, "passes": ["fit"]}
    found = audit_input("test_input_remedies:Own", **how)
    assert found["verdict"] == verdict, found["first_difference"]


@pytest.mark.each_backend
def test_an_input_that_is_known_is_read_once_and_fitted_twice():
    read = []

    class Counted(Seven):
        def on_epoch_begin(self):
            read.append("epoch")

    data = Counted()
    found = audit_input("any:input", made=lambda: data, ordered=True, passes=["fit"])
    assert found["identical"], found["first_difference"]
    assert [each["name"] for each in found["passes"]] == ["fit, epoch 1", "fit, epoch 2"]
    assert len(read) in (3, 4)  # Keras may begin an epoch once more to look at the first batch


@pytest.mark.long
def test_worker_processes_of_grain_give_the_same_batches():
    grain = pytest.importorskip("grain")
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    for data in (
        grain.MapDataset.source(range(40)).batch(4),
        grain.MapDataset.source(range(40)).batch(4).to_iter_dataset(),
    ):
        made = apply_remedy("mp_prefetch2", data, "grain dataset", on_batch=lambda: None)
        batches = iter(made)
        assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in data]
        batches.close()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], "uint8"),
        ([0, 256], "float16"),
        ([-1, 2], "float16"),
        ([0.5, 1.5], "float16"),
        ([np.nan, 1], "float16"),
        ([np.inf, 1], "float16"),
        ([0.1, 1], None),
        ([1e6, 1], None),
        ([4097, 0], None),
    ],
)
def test_a_narrow_dtype_holds_every_value(values, dtype):
    assert narrowest(np.array(values, "float32")) == dtype
    assert narrowest(np.array(values, "float64")) == (
        dtype or ("float32" if 0.1 not in values else None)
    )


def test_large_arrays_of_all_batches_count():
    seen = NarrowDtypes(most=2)
    x, y = np.zeros((8, 4096), "float32"), np.zeros(8, "float32")
    for value in (1, 0.5, 0.1):  # the third one is not looked at
        seen.see((x + np.float32(value), y))
    assert seen.found() == {"x": "float16"}


def test_python_functions_of_tf_data_are_timed_and_unchanged():
    tf = pytest.importorskip("tensorflow")

    def slow(row):
        time.sleep(0.002)
        return row

    def rows():
        for row in range(8):
            time.sleep(0.001)
            yield row

    def make():
        data = tf.data.Dataset.from_generator(rows, output_signature=tf.TensorSpec((), tf.int64))
        for call in (tf.py_function, tf.numpy_function):
            data = data.map(lambda row, call=call: call(func=slow, inp=[row], Tout=tf.int64))
        return data

    before = tf.data.Dataset.from_generator, tf.py_function, tf.numpy_function
    clocks = Clocks()
    with timed_functions(clocks):
        data = make()
    assert (tf.data.Dataset.from_generator, tf.py_function, tf.numpy_function) == before
    assert [int(row) for row in data] == [int(row) for row in make()] == list(range(8))
    assert clocks.calls == {"next": 9, "python": 16}
    assert clocks.seconds["python"] >= 16 * 0.002
    assert clocks.per_batch(8)["next"] >= 0.001
