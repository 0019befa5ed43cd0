"""tf.data over image files, with the advice of TensorFlow's guides followed.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_files import image_files
from keras_loader_bench.loaders.encoded.pipelines.tf_images import batches


class TfDataFilesLoader(ImageLoader):
    """A new dataset of paths and labels for every `fit`; reading and decoding are one map.

    `num_workers` is the number of images that are read and decoded in parallel; without workers,
    `AUTOTUNE` decides.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._paths = image_files(source)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows."""
        paths = [self._paths[row] for row in rows.tolist()]
        views = () if self.options.augment_seed is None else (self.views(rows),)
        dataset = tf.data.Dataset.from_tensor_slices((paths, self.source.labels[rows], *views))
        encoded = dataset.map(
            lambda path, *rest: (tf.io.read_file(path), *rest),
            num_parallel_calls=self.options.num_workers or tf.data.AUTOTUNE,
        )
        return {"x": batches(encoded, self.source, self.options)}
