"""Inputs for tests of the audit whose batches are not plain float32 arrays of one shape."""

import keras
import ml_dtypes
import numpy as np

ROWS = np.arange(40)
X = np.arange(40 * 6, dtype="float32").reshape(40, 6)
Y = (ROWS % 3).astype("int32")


class Made(keras.utils.PyDataset):
    """Batches of four rows, made by a function of the rows."""

    def __init__(self, make, batches=10, **options):
        super().__init__(**options)
        self.make, self.batches = make, batches

    def __len__(self):
        return self.batches

    def __getitem__(self, i):
        return self.make(ROWS[4 * i : 4 * i + 4])


def words(rows):
    return np.array([f"word {row}" * (1 + row % 3) for row in rows])


# Dtypes.

bfloat16 = Made(lambda rows: (X[rows].astype(ml_dtypes.bfloat16), Y[rows]))
float8 = Made(lambda rows: (X[rows].astype(ml_dtypes.float8_e4m3fn), Y[rows]))
float64 = Made(lambda rows: (X[rows].astype("float64"), Y[rows]))
thirds = Made(lambda rows: (X[rows].astype("float64") / 3, Y[rows]))
large_ids = Made(lambda rows: (X[rows], ROWS[rows] + 2**40))
uint16 = Made(lambda rows: (X[rows].astype("uint16"), Y[rows]))
uint32 = Made(lambda rows: (X[rows].astype("uint32"), Y[rows]))
strings = Made(lambda rows: (words(rows), Y[rows]))
objects = Made(lambda rows: ({"text": words(rows).astype(object), "x": X[rows]}, Y[rows]))
nan = Made(lambda rows: (np.where(X[rows] % 5 == 0, np.float32("nan"), X[rows]), Y[rows]))


def torch_bfloat16():
    import torch

    rows = torch.utils.data.TensorDataset(torch.from_numpy(X).bfloat16(), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(rows, batch_size=4)


# Forms.


def scipy_sparse():
    from scipy.sparse import csr_matrix

    return Made(lambda rows: (csr_matrix(np.where(X[rows] % 3 == 0, X[rows], 0)), Y[rows]))


def of_tensorflow(x):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x(tf), Y)).batch(4)


def tf_strings():
    return of_tensorflow(lambda tf: words(ROWS))


def tf_strings_in_a_dictionary():
    return of_tensorflow(lambda tf: {"text": words(ROWS), "x": X})


def tf_sparse():
    return of_tensorflow(lambda tf: tf.sparse.from_dense(np.where(X % 3 == 0, X, 0)))


def tf_ragged():
    return of_tensorflow(lambda tf: tf.ragged.constant([[float(i)] * (i % 4) for i in ROWS]))


labels_in_a_list = Made(lambda rows: (X[rows], Y[rows].tolist()))
four_parts = Made(lambda rows: (X[rows], Y[rows], Y[rows], Y[rows]))
padded = Made(lambda rows: (X[rows, : 1 + rows[0] % 6], Y[rows]))
"""Batches as wide as their longest sample; the first has a width of one."""


def bridged():
    from keras_loader_bench.loaders import bridge

    return bridge(Made(lambda rows: (X[rows], Y[rows])))


def bridged_padded():
    from keras_loader_bench.loaders import bridge

    return bridge(padded)


def bridged_without_labels():
    from keras_loader_bench.loaders import bridge

    return bridge(Made(lambda rows: (X[rows], None, np.ones(len(rows), "float32"))))


class FloatLength(Made):
    def __init__(self):
        super().__init__(lambda rows: (X[rows], Y[rows]))

    def __len__(self):
        return np.ceil(40 / 4)


class EmptyLast(Made):
    def __init__(self):
        super().__init__(lambda rows: (X[rows], Y[rows]), batches=11)


# Contents.

alike = Made(lambda rows: (X[:4] + np.float32(rows[0] // 4 % 2), Y[:4]), batches=5)
"""Two kinds of batches: three of one, two of the other."""


class DropsTheRest(Made):
    """Nine whole batches of 38 samples: two never come."""

    def __init__(self):
        super().__init__(lambda rows: (X[rows], Y[rows]), batches=9)


def drops_the_rest_of_a_dataset():
    import torch

    rows = torch.utils.data.TensorDataset(torch.from_numpy(X[:38]), torch.from_numpy(Y[:38]))
    return torch.utils.data.DataLoader(rows, batch_size=4, drop_last=True)


random = np.random.default_rng(1)


def noise(rows):
    return X[rows] + random.normal(size=(len(rows), 6)).astype("float32")


augments = Made(lambda rows: (noise(rows), Y[rows]))
augments_with_ids = Made(lambda rows: ({"image": noise(rows), "id": rows}, Y[rows]))
only_noise = Made(noise)


class LosesAnAugmentedBatch(Made):
    """The second direct reading and what comes before it are whole."""

    def __init__(self):
        super().__init__(lambda rows: (noise(rows), rows.astype("int32")))
        self.reads = 0

    def __getitem__(self, i):
        self.reads += 1
        return super().__getitem__(2 if self.reads > 20 and i == 7 else i)


def label_of(batch):
    return batch["y"]


def two_workers():
    return Made(lambda rows: (X[rows], Y[rows]), workers=2)
