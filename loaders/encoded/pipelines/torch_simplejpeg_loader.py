"""PyTorch's `DataLoader` over image files with simplejpeg, a batch at a time.

Worker processes import this, so it imports no Keras. Must not know: how rows are ordered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_loader_bench.loaders.contract import Batch, Rows, batch_of
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.torch_images import ImageFiles, RowsInOrder
from keras_loader_bench.loaders.torch_loader import as_tensors


class DecodedDataset(ImageFiles):
    """The samples of a source, decoded into the memory of their batch."""

    def __getitem__(self, sample: Any) -> Batch:
        """Return one sample, as a batch of one."""
        return self.__getitems__(sample[None])

    def __getitems__(self, samples: Any) -> Batch:
        """Return the batch of these samples."""
        size = self.source.image_size
        images = np.empty((len(samples), *self.source.sample_shape), np.uint8)
        for image, (row, *view) in zip(images, samples.tolist(), strict=True):
            decode(Path(self.paths[row]).read_bytes(), size, out=image, view=view)
        labels = self.source.labels[samples[:, 0]]
        return batch_of(images, labels, self.source.num_classes, self.pixels)


class TorchSimplejpegLoader(ImageLoader):
    """One `DataLoader`, whose `num_workers` are processes that live until `close`.

    Without workers each batch is made on the thread that asks for it. See `TorchLoader`. What is no
    JPEG is decoded by Pillow.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        dataset = DecodedDataset(source, options.pixels)
        self._rows = RowsInOrder(dataset, options, collate_fn=as_tensors)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `DataLoader`, which delivers the given rows from now on."""
        return self._rows.fit_args(rows, self.views(rows))

    def close(self) -> None:
        """End the worker processes."""
        self._rows.close()
