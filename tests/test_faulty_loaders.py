"""The audit catches loaders that are wrong, in `fit`, `evaluate` and `predict`, and says how."""

import keras
import numpy as np
import pytest

from keras_loader_bench.bench.child.audit import audit_loader
from keras_loader_bench.loaders import Loader, LoaderOptions, sample_order
from keras_loader_bench.loaders.contract import make_batch

pytestmark = pytest.mark.each_backend

BATCHES = 15  # of 16 samples, the last of 6


class Faulty(keras.utils.PyDataset):
    """Delivers its batches right, but for what `change` does to them.

    `change` is given the number of a batch and a function that returns any batch.
    """

    def __init__(self, source, rows, change):
        super().__init__()
        self.source, self.rows, self.change = source, rows, change

    def __len__(self):
        return BATCHES

    def right(self, index):
        return make_batch(self.source, self.rows[index * 16 : index * 16 + 16], "float32")

    def __getitem__(self, index):
        return self.change(index, self.right)


class FaultyLoader(Loader):
    """Not in the registry."""

    def __init__(self, source, change):
        super().__init__(source, LoaderOptions(batch_size=16))
        self.change = change

    def fit_args(self, rows):
        return {"x": Faulty(self.source, rows, self.change)}


def correct(index, right):
    return right(index)


def drops(index, right):
    """Batch 3 gives way to the batch that follows it, which comes twice."""
    return right(4 if index == 3 else index)


def swaps(index, right):
    return right({5: 6, 6: 5}.get(index, index))


def perturbs(index, right):
    x, y = right(index)
    if index == 9:
        x[2, 0, 0, 0] = np.nextafter(x[2, 0, 0, 0], np.float32(2))
    return x, y


def mislabels(index, right):
    x, y = right(index)
    return x, y[::-1].copy() if index == 2 else y


def widens(index, right):
    x, y = right(index)
    return x.astype("float16"), y


def flattens(index, right):
    x, y = right(index)
    return x.reshape(len(x), -1), y


@pytest.fixture
def audited(source):
    def audit(change):
        orders = [sample_order(source.num_samples, seed=0, epoch=epoch) for epoch in (0, 1)]
        return audit_loader(FaultyLoader(source, change), *orders)

    return audit


def test_a_correct_loader_passes(audited):
    audit = audited(correct)
    assert audit["identical"]
    assert [result["verdict"] for result in audit["passes"]] == ["identical"] * 4


@pytest.mark.parametrize(
    ("change", "verdict", "difference"),
    [
        (drops, "missing_or_repeated", "batch 3: is batch 4 of the reference"),
        (swaps, "other_order", "batch 5: is batch 6 of the reference"),
        (
            perturbs,
            "other_values",
            "batch 9: sample 2 has other values; the largest difference is 1 ULP",
        ),
        (
            widens,
            "other_dtype_or_shape",
            "batch 0: x is float16 (16, 32, 32, 3), expected float32 (16, 32, 32, 3)",
        ),
        (
            flattens,
            "other_dtype_or_shape",
            "batch 0: x is float32 (16, 3072), expected float32 (16, 32, 32, 3)",
        ),
    ],
)
def test_what_is_wrong_is_caught_in_every_pass(audited, change, verdict, difference):
    audit = audited(change)
    assert not audit["identical"]
    assert audit["verdict"] == verdict
    assert audit["first_difference"] == f"fit, epoch 1, {difference}"
    for result in audit["passes"]:
        assert result["verdict"] == verdict, result["name"]


def test_what_was_lost_and_what_came_twice_is_listed(audited):
    for result in audited(drops)["passes"]:
        assert (result["missing_batches"], result["repeated_batches"]) == ([3], [4])
        assert (result["missing_samples"], result["repeated_samples"]) == (16, 16)


def test_images_under_the_labels_of_others_are_other_values(audited):
    """`predict` is given no labels, and finds nothing."""
    verdicts = [result["verdict"] for result in audited(mislabels)["passes"]]
    assert verdicts == ["other_values", "other_values", "other_values", "identical"]
