"""Fingerprints are exact on the bits, the same on every backend, and see what nothing waits for."""

import keras
import numpy as np
import pytest
from registered import BACKEND, every_loader

from keras_loader_bench.bench.child.audit import WHOLE_EPOCH, Reference, audit_loader
from keras_loader_bench.bench.child.device import describe_backend
from keras_loader_bench.loaders import LoaderOptions, make_loader, sample_order
from keras_loader_bench.loaders.audit import Recorder, compare, record_batch
from keras_loader_bench.loaders.audit.batches.fingerprint import (
    BatchPrint,
    compare_fingerprints,
    fingerprint,
)
from keras_loader_bench.loaders.audit.batches.fingerprint_model import (
    FingerprintModel,
    fingerprint_fit,
)
from keras_loader_bench.loaders.audit.batches.recording import record_fit
from keras_loader_bench.loaders.sequence.buffers import ALIGNMENT_BYTES, _Buffer

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
Y = np.eye(10, dtype=np.float32)[RANDOM.integers(0, 10, 16)]
BATCH = {"x": (X / np.float32(255)).astype(np.float32), "y": Y}


def changed(name, place, value):
    array = BATCH[name].copy()
    array[place] = value
    return BATCH | {name: array}


def swapped(one, other):
    x = BATCH["x"].copy()
    x[one], x[other] = BATCH["x"][other], BATCH["x"][one]
    return BATCH | {"x": x}


PIXEL = (5, 0, 7, 1)
OTHERS = {
    "one unit in the last place": changed("x", PIXEL, np.nextafter(BATCH["x"][PIXEL], 2)),
    "another label": changed("y", 3, 1 - Y[3]),
    "minus zero": changed("y", (0, 9 - Y[0].argmax()), -0.0),
    "two pixels swapped": swapped((5, 0, 7, 1), (5, 31, 2, 0)),
    "two neighbouring pixels swapped": swapped((5, 0, 7, 1), (5, 0, 7, 2)),
    "two rows of an image swapped": swapped((4, 0), (4, 1)),
    "two images swapped": swapped(2, 3),
    "two samples swapped": {
        name: array[[1, 0, *range(2, 16)]].copy() for name, array in BATCH.items()
    },
    "a sample less": {name: array[:-1] for name, array in BATCH.items()},
    "a sample twice": {name: array[[0, 0, *range(2, 16)]] for name, array in BATCH.items()},
    "another dtype": BATCH | {"y": Y.astype(np.int32)},
    "float64": BATCH | {"y": Y.astype(np.float64)},
    "another shape": BATCH | {"x": BATCH["x"].reshape(16, 32, 96)},
    "bytes": BATCH | {"x": X},
    "no labels": {"x": BATCH["x"]},
    "labels as weights": {"x": BATCH["x"], "sample_weight": Y},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_whatever_changes_a_batch_changes_its_fingerprint(other):
    assert fingerprint(other) != fingerprint(BATCH)
    assert fingerprint(BATCH) == fingerprint({name: a.copy() for name, a in BATCH.items()})


def test_black_and_white_pixels_that_change_places_are_seen():
    """Their bits are mostly zeros: without mixing, 1 in 256 such swaps would be missed."""
    x = np.zeros((1, 64, 64), np.float32)
    x[0, 0, 0] = 1
    seen = set()
    for position in range(64 * 64):
        moved = np.roll(x.reshape(1, -1), position, axis=1).reshape(x.shape)
        seen.add(fingerprint({"x": moved}).fingerprint)
    assert len(seen) == 64 * 64


def test_one_changed_value_is_always_seen():
    """All 256 values of a byte, in every position of a small batch."""
    x = np.zeros((2, 3), np.uint8)
    for place in np.ndindex(x.shape):
        prints = set()
        for value in range(256):
            x[place] = value
            prints.add(fingerprint({"x": x}))
        assert len(prints) == 256
        x[place] = 0


def batch_prints(*numbers):
    return [BatchPrint(100 + number, 16) for number in numbers]


@pytest.mark.parametrize(
    ("got", "verdict", "difference", "missing", "repeated"),
    [
        (batch_prints(0, 1, 2, 3), "identical", None, (), ()),
        (
            batch_prints(0, 2, 1, 3),
            "other_order",
            "batch 1: is batch 2 of the reference",
            (),
            (),
        ),
        (
            batch_prints(0, 2, 2, 3),
            "missing_or_repeated",
            "batch 1: is batch 2 of the reference",
            (1,),
            (2,),
        ),
        (batch_prints(0, 1, 2), "missing_or_repeated", "batch 3: never came", (3,), ()),
        (
            batch_prints(0, 1, 2, 3, 0),
            "missing_or_repeated",
            "batch 4: came after the 4 that were expected",
            (),
            (0,),
        ),
        (
            batch_prints(0, 1, 9, 3),
            "other_fingerprint",
            "batch 2: is none of the reference's batches",
            (2,),
            (),
        ),
        (
            [*batch_prints(0, 1, 2), BatchPrint(103, 15)],
            "other_fingerprint",
            "batch 3: has 15 samples, expected 16",
            (3,),
            (),
        ),
    ],
)
def test_what_is_wrong_with_an_epoch_is_named(got, verdict, difference, missing, repeated):
    result = compare_fingerprints("fit", batch_prints(0, 1, 2, 3), got)
    assert result.verdict == verdict
    assert result.identical == (verdict == "identical")
    assert result.difference == difference
    assert result.missing_batches == missing
    assert result.repeated_batches == repeated
    assert result.compared == "fingerprint"


class Given(keras.utils.PyDataset):
    """Gives what it was given."""

    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@pytest.mark.each_backend
@pytest.mark.parametrize("jit_compile", ["auto", True, False])
@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_a_compiled_step_computes_what_numpy_does(pixels, jit_compile):
    if BACKEND == "torch" and jit_compile is True:
        pytest.skip("torch.compile needs a compiler for each shape and takes minutes")
    x = BATCH["x"] if pixels == "float32" else X
    batches = [(x, Y), (x[::-1].copy(), Y), (x[:5], Y[:5])]
    got = fingerprint_fit({"x": Given(*batches)}, most_batches=3, jit_compile=jit_compile)
    assert got == [fingerprint({"x": x, "y": y}) for x, y in batches]


@pytest.mark.each_backend
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "float16", "float32"])
def test_every_dtype_has_the_same_fingerprint_everywhere(dtype):
    x = RANDOM.integers(0, 2 if dtype == "bool" else 100, (4, 6)).astype(dtype)
    weights = np.arange(4, dtype="float32")
    got = fingerprint_fit({"x": Given(({"a": x, "b": -Y[:4]}, Y[:4], weights))}, most_batches=1)
    arrays = {"x/a": x, "x/b": -Y[:4], "y": Y[:4], "sample_weight": weights}
    assert got == [fingerprint(arrays)]


@pytest.mark.each_backend
def test_batches_beyond_those_expected_are_counted():
    batch = BATCH["x"], Y
    got = fingerprint_fit({"x": Given(batch, batch, batch)}, most_batches=2)
    assert len(got) == 3
    wanted = [fingerprint(BATCH)] * 2
    assert got[:2] == wanted
    assert compare_fingerprints("fit", wanted, got).verdict != "identical"


@pytest.mark.each_backend
@every_loader
@pytest.mark.usefixtures("warm_workers")
def test_a_whole_epoch_of_every_loader_has_the_fingerprints_of_the_reference(
    loader_name, workers, source
):
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    pixels = "uint8" if workers else "float32"
    options = LoaderOptions(batch_size=16, pixels=pixels, num_workers=workers)
    with make_loader(loader_name, source, options) as loader:
        got = fingerprint_fit(loader.fit_args(rows), most_batches=15)
    expected = Reference(source, rows, options).fingerprints
    result = compare_fingerprints("fit", expected, got)
    assert result.identical, result
    assert result.samples == source.num_samples


class SlowModel(FingerprintModel):
    """Like a card that is behind: a step looks at its batch when it has done other work."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        product = keras.ops.full((700, 700), 1e-3) + y_pred[0, 0] * 0
        for _ in range(6):
            product = keras.ops.matmul(product, product)
        nothing = product[0, 0] * 0
        x = x + keras.ops.cast(nothing, x.dtype)
        return super().compute_loss(x, y, y_pred, sample_weight, training) + nothing


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(
        "keras_loader_bench.loaders.audit.batches.fingerprint_model.FingerprintModel", SlowModel
    )


class Reusing(keras.utils.PyDataset):
    """Writes each batch into the memory of the one before, as soon as it is asked for it."""

    def __init__(self):
        super().__init__()
        memory = np.empty(BATCH["x"].nbytes + ALIGNMENT_BYTES, np.uint8)
        start = -memory.__array_interface__["data"][0] % ALIGNMENT_BYTES
        self.x = memory[start : start + BATCH["x"].nbytes].view(np.float32)
        self.x = self.x.reshape(BATCH["x"].shape)

    def __len__(self):
        return 12

    def right(self, index):
        return {"x": np.roll(BATCH["x"], index, axis=0), "y": Y}

    def __getitem__(self, index):
        self.x[:] = self.right(index)["x"]
        return self.x, Y


@pytest.mark.each_backend
def test_memory_that_is_used_again_too_early_is_seen_where_reading_back_sees_nothing(slow):
    """JAX uses the host's memory on a CPU without a copy, and its steps run behind `fit`."""
    if BACKEND != "jax":
        pytest.skip("on a CPU, steps of this backend do not run behind the thread that trains")
    if describe_backend()["device"] != "cpu":
        pytest.skip("seen on an H100: JAX copies so small a batch before it asks for the next one")
    dataset = Reusing()
    batches = [dataset.right(index) for index in range(len(dataset))]
    recorder = Recorder()
    record_fit({"x": dataset}, [recorder.record])
    assert compare("fit", [record_batch(batch) for batch in batches], recorder.batches).identical
    got = fingerprint_fit({"x": dataset}, most_batches=len(dataset))
    assert len(got) == len(dataset)
    assert got != [fingerprint(batch) for batch in batches]


@pytest.mark.each_backend
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "broken"])
def test_a_pool_that_lends_its_buffers_too_early_is_caught(slow, broken, monkeypatch, source):
    """The control: the audit of `sequence`, whose buffers are used again while they are read."""
    if BACKEND == "tensorflow":
        pytest.skip("a graph gathers its batches there, without buffers")
    if broken:
        monkeypatch.setattr(_Buffer, "is_free", lambda self: True)
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    options = LoaderOptions(batch_size=16, num_workers=2)
    with make_loader("sequence", source, options) as loader:
        audit = audit_loader(loader, rows[:40], rows[40:80], epoch_rows=rows)
    (whole,) = [each for each in audit["passes"] if each["name"] == WHOLE_EPOCH]
    assert (whole["verdict"] == "identical") == (not broken)
    assert audit["identical"] == (not broken)
    assert whole["batches"] == whole["expected_batches"] == 15
