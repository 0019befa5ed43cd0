"""Grain over ArrayRecord, which it reads by row.

https://google-grain.readthedocs.io/en/latest/tutorials/dataset_basic_tutorial.html: a source, a
map, `batch`, and threads that read ahead. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import grain
import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, Rows, batch_of
from keras_loader_bench.loaders.encoded.containers.array_record import Records
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import View, Views


class RowsOfRecords:
    """Records in the order of some rows: a `grain.sources.RandomAccessDataSource`.

    Args:
        stored: reads any row.
        rows: the rows to deliver, in this order.
        views: which part of each image.
    """

    def __init__(self, stored: Records, rows: Rows, views: Views) -> None:
        self._stored = stored
        self._rows = rows
        self._views = views.tolist()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> tuple[bytes, int, View]:
        """Return an encoded image, its label and its view."""
        return *self._stored[int(self._rows[place])], self._views[place]


class GrainRecordsLoader(ImageLoader):
    """A new `IterDataset` for every `fit`, over files that stay open.

    `num_workers` is `ReadOptions.num_threads`: each makes a batch, `prefetch_batches` ahead at
    most. Without workers each batch is made on the thread that asks for it.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._records = Records(prepare_container(source, "array_record").data)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x` and `steps_per_epoch`: Keras cannot know the length of a Grain dataset.

        It repeats its rows for ever, as Keras then goes on with one iterator from epoch to epoch.
        """
        threads = self.options.num_workers
        read_options = grain.ReadOptions(
            num_threads=threads,
            prefetch_buffer_size=max(threads, self.options.prefetch_batches) if threads else 0,
        )
        batches = (
            grain.MapDataset.source(RowsOfRecords(self._records, rows, self.views(rows)))
            .map(self._decoded)
            .batch(self.options.batch_size)
            .map(self._in_form)
        )
        dataset = batches.repeat().to_iter_dataset(read_options)
        return {"x": dataset, "steps_per_epoch": len(batches)}

    def _decoded(self, record: tuple[bytes, int, View]) -> tuple[npt.NDArray[np.uint8], int]:
        encoded, label, view = record
        return decode(encoded, self.source.image_size, view=view), label

    def _in_form(self, batch: tuple[Any, Any]) -> Batch:
        return batch_of(*batch, self.source.num_classes, self.options.pixels)

    def close(self) -> None:
        """Close the files."""
        self._records.close()
