"""Inputs as several ranks read them: each finds out from the environment which one it is."""

import os

import keras
import numpy as np

from keras_loader_bench.loaders import bridge

RANK, RANKS = (
    int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1))
)


class Numbers(keras.utils.PyDataset):
    """Batches of 8 numbers that follow each other."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def __len__(self):
        return -(-len(self.rows) // 8)

    def __getitem__(self, index):
        rows = np.asarray(self.rows[index * 8 : (index + 1) * 8], "int32")
        return rows[:, None].astype("float32"), rows


def everything():
    return Numbers(range(160))


def shared_out():
    return bridge(Numbers(range(160)), shard=(RANK, RANKS))


def unseeded():
    """Each rank shuffles by itself, and takes its part of that."""
    rows = np.random.default_rng().permutation(160)
    return Numbers(rows[RANK::RANKS])


def unequal():
    """An odd number of batches is dealt out as it is."""
    batches = np.arange(168).reshape(-1, 8)
    return Numbers(batches[RANK::RANKS].ravel())


def fails_on_rank_1():
    if RANK == 1:
        raise RuntimeError("no such disk")
    return Numbers(range(RANK, 160, RANKS))


def endless():
    """Without an end, in turn."""
    row = RANK
    while True:
        yield np.full((8, 1), row, "float32"), np.full(8, row, "int32")
        row += RANKS


def shuffled_by_tensorflow():
    """The seed of the operation alone decides, where nobody sets that of the process."""
    import tensorflow as tf

    rows = tf.data.Dataset.range(160).shuffle(160, seed=1).shard(RANKS, RANK)
    return rows.map(lambda row: (tf.cast([row], tf.float32), row)).batch(8)


def padded():
    import torch
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    rows = torch.arange(161)
    samples = TensorDataset(rows[:, None].float(), rows)
    sampler = DistributedSampler(samples, num_replicas=RANKS, rank=RANK) if RANKS > 1 else None
    return DataLoader(samples, batch_size=8, sampler=sampler)


class OutOfStep(Numbers):
    """Its share of an order that it shuffles by itself after each epoch."""

    def __init__(self):
        self.order = np.arange(160)
        super().__init__(self.order[RANK::RANKS])

    def on_epoch_end(self):
        np.random.default_rng(RANK).shuffle(self.order)
        self.rows = self.order[RANK::RANKS]
