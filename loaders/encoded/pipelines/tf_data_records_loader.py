"""tf.data over TFRecord shards, with the advice of TensorFlow's guides followed.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.containers.tfrecord import FEATURES
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.fixed_order import STORED, check_rows
from keras_loader_bench.loaders.encoded.pipelines.tf_images import batches


class TfDataRecordsLoader(ImageLoader):
    """Reads the shards one after another, ahead, and decodes records in parallel.

    Interleaving several shards would mix their rows; of one at a time, a thread of its own reads
    and opens the next ones. `num_workers` is the number of images that are decoded in parallel;
    without workers, `AUTOTUNE` decides.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self.only_rows = np.arange(source.num_samples)
        self._files = [str(path) for path in prepare_container(source, "tfrecord").files]

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows.

        Raises:
            ValueError: they are not the stored ones from 0 on.
        """
        check_rows(self, rows, STORED)
        records = tf.data.Dataset.from_tensor_slices(self._files).interleave(
            tf.data.TFRecordDataset,
            cycle_length=1,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = records.take(len(rows))
        encoded = records.apply(tf.data.experimental.assert_cardinality(len(rows))).map(_parsed)
        if self.options.augment_seed is not None:
            views = tf.data.Dataset.from_tensor_slices(self.views(rows))
            encoded = tf.data.Dataset.zip(encoded, views).map(lambda sample, view: (*sample, view))
        return {"x": batches(encoded, self.source, self.options)}


def _parsed(record: Any) -> tuple[Any, Any]:
    parsed = tf.io.parse_single_example(record, FEATURES)
    return parsed["image"], parsed["label"]
