"""Grain datasets for tests of the audit."""

import grain
import numpy as np


def example(row):
    return np.full(6, row, "float32"), np.int32(row)


ordered = grain.MapDataset.source(range(40)).map(example).batch(4)
endless = grain.MapDataset.source(range(40)).map(example).repeat().batch(4)
endless_without_length = endless.to_iter_dataset()


class Examples:
    def __len__(self):
        return 40

    def __getitem__(self, row):
        return example(row)


def loader(workers=0):
    return grain.DataLoader(
        data_source=Examples(),
        sampler=grain.samplers.SequentialSampler(40, grain.sharding.NoSharding()),
        operations=[grain.transforms.Batch(4)],
        worker_count=workers,
    )


def loader_with_a_process():
    return loader(workers=1)


shuffled = grain.MapDataset.source(range(40)).seed(1).shuffle().map(example).batch(4)
