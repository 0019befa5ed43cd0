"""Which rows lie in which file of a container that has several."""

from __future__ import annotations

from itertools import pairwise

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource

_LEAST = 8
"""Enough for the readers of a machine to have a file each."""

_MOST_BYTES = 128 * 2**20
"""https://www.tensorflow.org/tutorials/load_data/tfrecord advises files of 100 MB and more."""


def shard_rows(source: EncodedSource) -> list[range]:
    """Return the rows of every shard: neighbours, so that the shards one by one give all in order.

    Args:
        source: its number of rows and their total size decide how many shards there are.
    """
    rows = source.num_samples
    shards = min(rows, max(_LEAST, -(-int(source.offsets[-1]) // _MOST_BYTES)))
    starts = [shard * rows // shards for shard in range(shards + 1)]
    return [range(start, stop) for start, stop in pairwise(starts)]


def shard_name(shard: int, shards: int, ending: str) -> str:
    """Return the name of a shard's file, such as `images-00000-of-00008.tfrecord`."""
    return f"images-{shard:05}-of-{shards:05}.{ending}"
