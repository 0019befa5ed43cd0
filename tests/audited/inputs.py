"""Inputs for tests of the audit: some by the book, some that are wrong in one way each."""

import itertools
import os
import sys
import time

import keras
import numpy as np

BATCH_SIZE = 4


def batch(number, size=BATCH_SIZE):
    """A batch whose samples are like no other's."""
    labels = np.arange(number * BATCH_SIZE, number * BATCH_SIZE + size, dtype="int32")
    return np.repeat(labels[:, None], 6, axis=1).astype("float32"), labels


class Numbers(keras.utils.PyDataset):
    """By the book."""

    def __init__(self, batches=10, **options):
        super().__init__(**options)
        self.batches = batches

    def __len__(self):
        return self.batches

    def __getitem__(self, i):
        return batch(i, 3 if i == self.batches - 1 else BATCH_SIZE)


healthy = Numbers()


def stock():
    """More batches than Keras reads ahead."""
    return Numbers(30, workers=2)


class NeedsArguments(Numbers):
    def __init__(self, batches):
        super().__init__(batches)


class Reshuffles(Numbers):
    """Other samples in each batch after every epoch."""

    def __init__(self):
        super().__init__()
        self.random = np.random.default_rng(1)
        self.order = np.arange(40)

    def __getitem__(self, i):
        rows = self.order[i * BATCH_SIZE : (i + 1) * BATCH_SIZE]
        return np.repeat(rows[:, None], 6, axis=1).astype("float32"), rows.astype("int32")

    def on_epoch_end(self):
        self.random.shuffle(self.order)


class ReshufflesAndDropsLast(Reshuffles):
    def __init__(self):
        super().__init__()
        self.order = np.arange(42)


class UnseededOrder(Numbers):
    """The same order in every epoch, another one in every run."""

    def __init__(self):
        super().__init__(20)
        self.order = np.random.default_rng(list(os.urandom(8))).permutation(20)

    def __getitem__(self, i):
        return batch(int(self.order[i]))


class Wide(Numbers):
    """64 bits, of which none is needed."""

    def __getitem__(self, i):
        x, y = batch(i)
        return x.astype("float64"), y.astype("int64")


class TooWide(Numbers):
    def __getitem__(self, i):
        x, y = batch(i)
        return x.astype("float64") / 3, y


class Augments(Numbers):
    random = np.random.default_rng(1)

    def __getitem__(self, i):
        x, y = batch(i)
        return x + self.random.normal(size=x.shape).astype("float32"), y


class GivesABatchTwice(Numbers):
    def __getitem__(self, i):
        return batch(6 if i == 7 else i)


class Counting(Numbers):
    """Has something go wrong after the two readings by hand."""

    reads = 0

    def __getitem__(self, i):
        self.reads += 1
        return batch(i) if self.reads <= 20 else self.late(i)


class DropsLater(Counting):
    def late(self, i):
        return batch(0 if i == 7 else i)


class ChangesAValueLater(Counting):
    def late(self, i):
        x, y = batch(i)
        if i == 3:
            x[2, 0] = np.nextafter(x[2, 0], np.float32(np.inf))
        return x, y


class RaisesLater(Counting):
    def late(self, i):
        raise KeyError("colour\x1b[31m")


class FailsInTheMiddle(Numbers):
    def __getitem__(self, i):
        if i == 7:
            raise OSError("no batch 7")
        return batch(i)


class FailsInFit(Counting):
    def late(self, i):
        if i == 5:
            raise OSError("too many files")
        return batch(i)


def fails_in_a_worker():
    """As PyTorch raises what a worker process raised."""
    yield from map(batch, range(3))
    raise OSError(
        "Caught OSError in worker.\nOriginal Traceback (most recent call last):\nOSError: no row 13"
    )


class HangsLater(Counting):
    def late(self, i):
        time.sleep(1000)


class EndsTheProcessLater(Counting):
    def late(self, i):
        print("the input has had enough", file=sys.stderr, flush=True)
        os._exit(3)


class Raises(Numbers):
    def __getitem__(self, i):
        raise KeyError("never")


class FloatLength(Numbers):
    def __len__(self):
        return np.ceil(39 / 4)


class MethodForAProperty(Numbers):
    def num_batches(self):
        return 10


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, i):
        return batch(i)


def generator():
    for i in range(10):
        yield batch(i)


def endless_generator():
    for i in itertools.count():
        yield batch(i)


def generator_of_dictionaries():
    for i in range(10):
        x, y = batch(i)
        yield {"wide": x, "deep": {"label": y}}, y, np.ones(len(y), "float32")


made_generator = generator()
rows = np.arange(100, dtype="float32")[:, None]
just_x = np.repeat(rows, 6, axis=1)
arrays = (just_x, rows.astype("int32"))
weighted_arrays = {"x": {"a": rows, "b": just_x}, "y": rows, "sample_weight": rows[:, 0]}
wide_arrays = (just_x.astype("float64"), rows[:, 0].astype("int32"))
uneven_arrays = (just_x, rows[:90])
nothing = 7


def in_processes():
    return Numbers(100, workers=2, use_multiprocessing=True)


def returns_a_list():
    return [batch(0)]


def fails():
    raise RuntimeError("no data today")


class Namespace:
    inner = Numbers()
