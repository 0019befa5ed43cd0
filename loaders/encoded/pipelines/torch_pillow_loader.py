"""PyTorch's `DataLoader` over image files with Pillow, a sample at a time, as tutorials write it.

https://docs.pytorch.org/tutorials/beginner/data_loading_tutorial.html. Worker processes import
this, so it imports no Keras. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import torch

from keras_loader_bench.loaders.contract import Rows, one_hot
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_files import by_pillow
from keras_loader_bench.loaders.encoded.pipelines.torch_images import ImageFiles, RowsInOrder


class PillowDataset(ImageFiles):
    """The samples of a source, each read, decoded and scaled on its own."""

    def __getitem__(self, sample: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return an image and its one-hot label; torch stacks those of a batch."""
        row, *view = sample.tolist()
        x = torch.tensor(by_pillow(self.paths[row], self.source.image_size, view))
        if self.pixels == "float32":
            x = x / 255.0
        return x, torch.from_numpy(one_hot(self.source.labels[row], self.source.num_classes))


class TorchPillowLoader(ImageLoader):
    """One `DataLoader`, whose `num_workers` are processes that live until `close`.

    Without workers each batch is made on the thread that asks for it. See `TorchLoader`.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._rows = RowsInOrder(PillowDataset(source, options.pixels), options)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `DataLoader`, which delivers the given rows from now on."""
        return self._rows.fit_args(rows, self.views(rows))

    def close(self) -> None:
        """End the worker processes."""
        self._rows.close()
