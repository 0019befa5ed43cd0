"""What a batch holds is recognised by its values, whatever the framework and form."""

import hashlib

import ml_dtypes
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_matrix

from keras_loader_bench.loaders.audit.batches import records
from keras_loader_bench.loaders.audit.batches.fields import as_dtype, as_field
from keras_loader_bench.loaders.audit.batches.reading import Reading
from keras_loader_bench.loaders.audit.batches.records import record_batch

DENSE = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], "float32")


def samples(value):
    return record_batch({"x": as_field(value)}).samples


def test_sparse_rows_are_the_same_in_any_order_and_in_parts():
    rows, columns = [2, 0, 2, 2, 1], [2, 1, 0, 2, 1]
    parts = coo_array((np.array([1, 2, 1, 2, 0], "float32"), (rows, columns)), shape=(3, 3))
    assert samples(parts) == samples(csr_matrix(DENSE))
    assert len(set(samples(parts))) == 3


def test_dense_values_can_be_compared_with_sparse_ones():
    sparse = as_field(csr_matrix(DENSE))
    assert record_batch({"x": as_dtype(DENSE, sparse.dtype)}).samples == (
        samples(csr_matrix(DENSE))
    )


def test_sparse_tensors_of_torch_are_like_those_of_scipy():
    torch = pytest.importorskip("torch")
    indices = torch.tensor([[0, 2, 2], [1, 0, 2]])
    tensor = torch.sparse_coo_tensor(
        indices, torch.tensor([2.0, 1.0, 3.0]), (3, 3), check_invariants=True
    )
    assert samples(tensor) == samples(csr_matrix(DENSE))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, "datetime64[s]"])
def test_dtypes_without_a_buffer_are_hashed(dtype):
    one, other = np.zeros(3, dtype), np.array([0, 0, 1]).astype(dtype)
    assert samples(one)[0] == samples(other)[0] == samples(other)[1] != samples(other)[2]


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
def test_tensors_of_torch_are_like_the_arrays_of_their_dtype(name):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(DENSE).to(getattr(torch, name))
    assert samples(tensor) == samples(DENSE.astype(getattr(ml_dtypes, name)))


def test_strings_are_told_by_their_content_alone():
    wide = np.array(["a", "bc"], "U20")
    for other in (np.array(["a", "bc"]), np.array([b"a", b"bc"], object), np.array([b"a", b"bc"])):
        assert samples(wide) == samples(other)
    assert samples(np.array([["ab", "c"]])) != samples(np.array([["a", "bc"]]))


def test_objects_are_told_by_what_they_hold():
    one = np.array([{"a": np.arange(3)}, [1, "b"]], object)
    same = np.array([{"a": np.arange(3)}, [1, "b"]], object)
    other = np.array([{"a": np.arange(4)}, [1, "c"]], object)
    assert samples(one) == samples(same)
    assert not set(samples(one)) & set(samples(other))


def test_every_byte_is_hashed_once(monkeypatch):
    """Digests of `x` alone, of labels and of batches follow from those of samples."""
    hashed, real = 0, hashlib.sha256

    class Counting:
        def __init__(self, content=b""):
            self.inner = real()
            self.update(content)

        def update(self, content):
            nonlocal hashed
            hashed += len(content) if len(content) >= 1024 else 0
            self.inner.update(content)

        def __getattr__(self, name):
            return getattr(self.inner, name)

    monkeypatch.setattr(records.hashlib, "sha256", Counting)
    reading = Reading()
    x, y = np.ones((4, 1024), "float32"), np.zeros((4, 512), "int64")
    reading.add({"x": x, "y": y})
    for view in ("all", "inputs", "labels"):
        reading.batches(view)
    assert hashed == x.nbytes + y.nbytes
