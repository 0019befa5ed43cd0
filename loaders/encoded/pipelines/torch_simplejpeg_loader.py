"""PyTorch's `DataLoader` over image files with simplejpeg, a batch at a time.

Worker processes import this, so it imports no Keras. Must not know: how rows are ordered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_loader_bench.loaders.contract import Batch, Loader, LoaderOptions, Rows, batch_of
from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.torch_images import ImageFiles, RowsInOrder
from keras_loader_bench.loaders.torch_loader import as_tensors


class DecodedDataset(ImageFiles):
    """The samples of a source, decoded into the memory of their batch."""

    def __getitem__(self, row: int) -> Batch:
        """Return one sample, as a batch of one."""
        return self.__getitems__(np.array([row]))

    def __getitems__(self, rows: Rows) -> Batch:
        """Return the batch of these rows."""
        images = np.empty((len(rows), *self.source.sample_shape), np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            decode(Path(self.paths[row]).read_bytes(), self.source.image_size, out=image)
        return batch_of(images, self.source.labels[rows], self.source.num_classes, self.pixels)


class TorchSimplejpegLoader(Loader[EncodedSource]):
    """One `DataLoader`, whose `num_workers` are processes that live until `close`.

    Without workers each batch is made on the thread that asks for it. See `TorchLoader`. What is no
    JPEG is decoded by Pillow.
    """

    def __init__(self, source: EncodedSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        dataset = DecodedDataset(source, options.pixels)
        self._rows = RowsInOrder(dataset, options, collate_fn=as_tensors)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `DataLoader`, which delivers the given rows from now on."""
        return self._rows.fit_args(rows)

    def close(self) -> None:
        """End the worker processes."""
        self._rows.close()
