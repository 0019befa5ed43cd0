"""`fit(bridge(dataset))` is given what `fit(dataset)` is given, or one sentence says why not."""

import keras
import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from keras_loader_bench.loaders import bridge

pytestmark = pytest.mark.each_backend

BACKEND = keras.backend.backend()
X = np.arange(120, dtype=np.float32).reshape(40, 3)
Y = (np.arange(40) % 2).astype(np.float32)[:, None]
ONES = np.ones(4, np.float32)


class Batches(keras.utils.PyDataset):
    """Ten batches of four samples."""

    def __init__(self, make, **options) -> None:
        super().__init__(**options)
        self.make = make

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index):
        return self.make(slice(4 * index, 4 * index + 4))


class Seen(keras.Model):
    """Keeps the batches that it is given, whatever they are, and trains on none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.built = True  # a batch of any form would have to suit its layers
        self.batches: list[list[tuple]] = []

    def train_step(self, *args):
        self.batches.append([shown(leaf) for leaf in fields(args[-1])])
        logs = {"steps": keras.ops.ones(())}  # TensorFlow wants some
        return (logs, args[0]) if BACKEND == "jax" else logs


def fields(batch):
    return keras.tree.flatten(keras.utils.unpack_x_y_sample_weight(batch))


def shown(leaf):
    if leaf is None:
        return None
    for dense in ("todense", "to_tensor"):  # JAX's sparse arrays, TensorFlow's ragged ones
        leaf = getattr(leaf, dense, lambda leaf=leaf: leaf)()
    if hasattr(leaf, "dense_shape"):  # TensorFlow's sparse ones
        import tensorflow as tf

        leaf = tf.sparse.to_dense(leaf)
    array = np.asarray(keras.ops.convert_to_numpy(leaf))
    return array.dtype.name, array.shape, array.tobytes()


def seen(data):
    model = Seen()
    model.compile(run_eagerly=True)
    model.fit(data, shuffle=False, verbose=0)
    return model.batches


def width(rows) -> int:
    return (8, 16, 8, 24, 8)[rows.start // 4 % 5]


def some_rows(rows, count):
    """Batch 3 is smaller than the first and the last."""
    return slice(rows.start, rows.start + count) if rows.start == 12 else rows


DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn),
]

CASES = {
    "x alone": lambda rows: X[rows],
    "a tuple of one": lambda rows: (X[rows],),
    "a list": lambda rows: [X[rows], Y[rows]],
    "a dictionary": lambda rows: ({"b": X[rows], "a": {"c": Y[rows]}}, Y[rows]),
    "two inputs": lambda rows: ((X[rows], Y[rows]), Y[rows]),
    "no labels": lambda rows: (X[rows], None),
    "weights without labels": lambda rows: (X[rows], None, ONES),
    "no weights": lambda rows: (X[rows], Y[rows], None),
    "buckets of widths": lambda rows: (np.full((4, width(rows), 1), rows.start), Y[rows]),
    "a smaller batch in the middle": lambda rows: (X[some_rows(rows, 2)], Y[some_rows(rows, 2)]),
    "an empty batch": lambda rows: (X[some_rows(rows, 0)], Y[some_rows(rows, 0)]),
    "read-only": lambda rows: (np.broadcast_to(np.float32(1), (4, 3)), Y[rows]),
    "backwards": lambda rows: (X[rows][::-1], Y[rows]),
    "not contiguous": lambda rows: (X[rows].T.copy().T, Y[rows]),
    "a tensor": lambda rows: (keras.ops.convert_to_tensor(X[rows]), Y[rows]),
    "pandas": lambda rows: (pd.DataFrame(X[rows]), pd.Series(Y[rows, 0])),
    **{
        np.dtype(dtype).name: lambda rows, dtype=dtype: (X[rows].astype(dtype), Y[rows])
        for dtype in DTYPES
    },
}


THREADED = ["a dictionary", "no weights", "buckets of widths", "bfloat16"]


@pytest.mark.parametrize(
    ("case", "workers"), [*((case, 1) for case in CASES), *((case, 3) for case in THREADED)]
)
def test_fit_is_given_the_same_through_the_bridge(case, workers):
    dataset = Batches(CASES[case])
    try:
        expected = seen(dataset)
    except Exception:  # `fit` refuses it
        try:
            batches = seen(bridge(dataset))
        except ValueError as error:
            assert "Batch 0: `x` is a" in str(error), "it says which batch and what of it"  # noqa: PT017
            return
        # TensorFlow's own way takes no `None`, nested list or `DataFrame`; its bridge does.
        assert BACKEND == "tensorflow"
        assert batches == [list(map(shown, as_arrays(dataset[index]))) for index in range(10)]
        return
    assert seen(bridge(Batches(CASES[case], workers=workers))) == expected


def as_arrays(batch):
    return [None if leaf is None else np.asarray(leaf) for leaf in fields(batch)]


def sparse(kind):
    matrices = pytest.importorskip("scipy.sparse")
    return lambda rows: (getattr(matrices, kind)(np.where(X[rows] % 2, X[rows], 0)), Y[rows])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_a_sparse_matrix_is_one_of_the_backend(kind):
    dataset = bridge(Batches(sparse(kind)))
    if BACKEND == "torch":  # Keras has none there
        with pytest.raises(ValueError, match=f"Batch 0: `x` is a `{kind}`, of which Keras makes"):
            seen(dataset)
        return
    dense = [(np.where(X[i : i + 4] % 2, X[i : i + 4], 0), Y[i : i + 4]) for i in range(0, 40, 4)]
    assert seen(dataset) == [[*map(shown, batch), None] for batch in dense]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tensors of TensorFlow")
def test_ragged_and_sparse_tensors_and_strings_stay_what_they_are():
    import tensorflow as tf

    def make(rows):
        ragged = tf.ragged.constant(
            [[float(i)] * (1 + i % 3) for i in range(rows.start, rows.stop)]
        )
        return {
            "ragged": ragged,
            "sparse": tf.sparse.from_dense(X[rows]),
            "words": np.array([f"word {i}" for i in range(rows.start, rows.stop)]),
        }

    for index, batch in enumerate(bridge(Batches(make))):
        wanted = make(slice(4 * index, 4 * index + 4))
        assert isinstance(batch["ragged"], tf.RaggedTensor)
        assert isinstance(batch["sparse"], tf.SparseTensor)
        assert shown(batch["ragged"]) == shown(wanted["ragged"])
        assert shown(batch["sparse"]) == shown(wanted["sparse"])
        assert [word.decode() for word in batch["words"].numpy()] == wanted["words"].tolist()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="what a graph has to be told")
def test_a_size_that_was_not_foreseen_is_named_with_the_remedy():
    import tensorflow as tf

    def make(rows):
        return np.zeros((4, 5 if rows.start == 20 else 3)), Y[rows]

    with pytest.raises(
        Exception, match=r"Batch 5: `x` is float64 \(4, 5\), where float64 \(None, 3"
    ):
        seen(bridge(Batches(make)))
    spec = tf.TensorSpec((None, None), tf.float64), tf.TensorSpec((None, 1), tf.float32)
    assert seen(bridge(Batches(make), output_signature=spec)) == [
        [*map(shown, make(slice(4 * i, 4 * i + 4))), None] for i in range(10)
    ]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a graph has one dtype for all batches")
def test_batches_of_several_dtypes_come_in_one_that_holds_them_all():
    dataset = bridge(Batches(lambda rows: X[rows].astype("int8" if rows.start % 8 else "float16")))
    assert {batch[0].dtype.name for batch in dataset} == {"float16"}
    with pytest.raises(Exception, match=r"Batch 5: `x` is float32 \(4, 3\), where int8"):
        list(
            bridge(Batches(lambda rows: X[rows].astype("float32" if rows.start == 20 else "int8")))
        )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a graph has one dtype for all batches")
def test_an_integer_that_the_dtype_cannot_hold_becomes_no_other_one():
    def make(rows):
        return np.full((4, 3), 1000, "int64") if rows.start == 20 else X[rows].astype("int8")

    with pytest.raises(Exception, match=r"Batch 5: `x` is int64 \(4, 3\), where int8"):
        list(bridge(Batches(make)))
    small = bridge(Batches(lambda rows: X[rows].astype("int64" if rows.start == 20 else "int8")))
    assert {batch[0].dtype.name for batch in small} == {"int8"}


REFUSED = {
    "a list of labels": (
        lambda rows: (X[rows], Y[rows, 0].tolist()),
        r"Batch \d: `y` is a list of 4 with values of type `float`, and `fit` takes arrays",
    ),
    "one within a dictionary": (
        lambda rows: ({"a": X[rows], "b": [1, 2, 3, 4]}, Y[rows]),
        r"Batch \d: `x\['b'\]` is a list of 4 with values of type `int`",
    ),
    "a number": (lambda rows: (X[rows], 3.0), r"Batch \d: `y` is of type `float`"),
    "four fields": (
        lambda rows: (X[rows],) * 4,
        r"Batch \d has 4 fields; `fit` takes `x`, `\(x, y",
    ),
    "dates": (
        lambda rows: (X[rows].astype("M8[s]"), Y[rows]),
        r"Batch \d: `x` is an array of dates",
    ),
    "objects": (
        lambda rows: (X[rows].astype(object), Y[rows]),
        r"`x` is an array of Python objects",
    ),
}
if BACKEND != "tensorflow":
    REFUSED["strings"] = (lambda rows: X[rows].astype(str), r"Batch \d: `x` is an array of strings")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("case", REFUSED)
def test_what_fit_does_not_take_is_named_in_one_sentence(case, workers):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        seen(bridge(Batches(make, workers=workers)))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="batches differ there only within a graph")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda rows: (X[rows], Y[rows] if rows.start else None),
            r"`y` must be of one kind in all",
        ),
        (
            lambda rows: (X[rows], Y[rows]) if rows.start else (X[rows],),
            r"Batch 1 has the fields `x`, `y",
        ),
        (
            lambda rows: (X[rows], None if rows.start == 20 else Y[rows]),
            r"Batch 5: `y` is `None`, where",
        ),
    ],
)
def test_batches_of_unlike_fields_are_named(make, message):
    with pytest.raises(Exception, match=message):
        seen(bridge(Batches(make)))


def with_length(value, **members):
    return type("Odd", (Batches,), {"__len__": lambda self: value, **members})(lambda rows: X[rows])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            with_length(np.ceil(10.0)),
            r"`Odd.__len__` must return .* got .*10\.0.* of type `float64`",
        ),
        (with_length(10.0), r"`Odd.__len__` must return .* got 10\.0 of type `float`"),
        (with_length(-1), r"`Odd.__len__` must return .* at least 0, got -1"),
        (
            with_length(10, num_batches=lambda self: 10),
            r"`Odd.num_batches` is a method, .*@property",
        ),
        (
            with_length(10, num_batches=property(lambda self: 9.5)),
            r"`Odd.num_batches` must .* 9\.5",
        ),
    ],
)
def test_a_method_that_returns_no_length_is_named(dataset, message):
    with pytest.raises(ValueError, match=message):
        bridge(dataset)


def test_an_integer_of_numpy_is_a_length():
    assert len(seen(bridge(with_length(np.int64(10))))) == 10
