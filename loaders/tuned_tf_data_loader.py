"""tf.data over the memory map, by the advice of TensorFlow's performance guide.

https://www.tensorflow.org/guide/data_performance: vectorise the map (it follows `batch`), run it in
parallel, prefetch. What the guide leaves to `AUTOTUNE` is fixed: on two cores its thread cost up to
a tenth of the rate. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

from keras_loader_bench.loaders.bridges.tf_bridge import rows_dataset
from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource


class TunedTfDataLoader(Loader):
    """A `tf.data.Dataset` that gathers rows of the mapped file and scales them in its graph.

    The bridge makes the same of a `LazySequence` on TensorFlow; here it is on every backend.
    `num_workers` is the number of batches that are made in parallel, one for two cores without
    workers; `prefetch_batches` may be ahead.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._dataset: Any = None
        self._made_for: Any = None

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows, and how many steps that are."""
        self._rows = rows
        if self._made_for != (made_for := (len(rows), rows.dtype)):
            self._dataset = rows_dataset(
                self.source,
                self._rows_of_next_pass,
                num_samples=len(rows),
                dtype=rows.dtype,
                batch_size=self.options.batch_size,
                pixels=self.options.pixels,
                num_workers=self.options.num_workers,
                prefetch_batches=self.options.prefetch_batches,
            )
            self._made_for = made_for
        return {
            "x": self._dataset,
            # Told how many, Keras iterates over the dataset once an epoch; else it begins to twice.
            "steps_per_epoch": -(-len(rows) // self.options.batch_size),
        }

    def _rows_of_next_pass(self) -> Rows:
        return self._rows

    def close(self) -> None:
        """Let go of the dataset, and with it of the map."""
        self._dataset = self._made_for = None
