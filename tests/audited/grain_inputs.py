"""Grain datasets for tests of the audit."""

import grain
import numpy as np


def example(row):
    return np.full(6, row, "float32"), np.int32(row)


ordered = grain.MapDataset.source(range(40)).map(example).batch(4)
shuffled = grain.MapDataset.source(range(40)).seed(1).shuffle().map(example).batch(4)
