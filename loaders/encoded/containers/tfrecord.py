"""The container `tfrecord`: shards of `tf.train.Example` with `image` (bytes) and `label` (int64).

https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from keras_loader_bench.loaders.encoded.containers.shards import shard_name, shard_rows
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}
"""What `tf.io.parse_single_example` needs to read a record."""


def write(source: EncodedSource, folder: Path) -> None:
    """Write `images-00000-of-00008.tfrecord` and so on, see `shard_rows`."""
    shards = shard_rows(source)
    for number, rows in enumerate(shards):
        path = folder / shard_name(number, len(shards), "tfrecord")
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in rows:
                writer.write(_example(bytes(source.encoded(row)), int(source.labels[row])))


def _example(encoded: bytes, label: int) -> bytes:
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    serialized: bytes = example.SerializeToString()
    return serialized
