"""What the `DataLoader`s over image files share. Worker processes import it, so no Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from keras_loader_bench.loaders.contract import LoaderOptions, Pixels, Rows
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_files import image_files
from keras_loader_bench.loaders.encoded.views import Views
from keras_loader_bench.loaders.torch_loader import BatchesOfRows, data_loader, end_workers


class ImageFiles(Dataset[Any]):
    """The samples of a source that lie in files of their own.

    Each is asked for by four numbers: its row and its view.

    Args:
        source: labels and the size of the images.
        pixels: `float32` or `uint8`.
    """

    def __init__(self, source: EncodedSource, pixels: Pixels) -> None:
        self.source = source
        self.paths = image_files(source)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.paths)


class RowsInOrder:
    """One `DataLoader` for all calls, so that its workers are started once.

    Args:
        dataset: the samples of a source, by row.
        options: batch size and workers.
        **data_options: what else `DataLoader` is given.
    """

    def __init__(self, dataset: Dataset[Any], options: LoaderOptions, **data_options: Any) -> None:
        self._batches = BatchesOfRows(options.batch_size)
        self._data_loader = data_loader(
            dataset, options, batch_sampler=self._batches, **data_options
        )

    def fit_args(self, rows: Rows, views: Views) -> dict[str, Any]:
        """Return `x`: the `DataLoader`, which delivers these views of the rows from now on."""
        self._batches.rows = np.column_stack([rows, views])
        return {"x": self._data_loader}

    def close(self) -> None:
        """End the worker processes."""
        self._batches.closed = True
        end_workers(self._data_loader)
