"""WebDataset over tar shards, through torch's `DataLoader`, not shuffled.

https://github.com/webdataset/webdataset#readme. Worker processes import this, so it imports no
Keras. Must not know: how rows are ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, takewhile
from typing import Any

import numpy as np
import torch.multiprocessing
import webdataset
from torch.utils.data import IterableDataset, get_worker_info

from keras_loader_bench.loaders.contract import Batch, Pixels, Rows, batch_of
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.contract import (
    ImageLoader,
    ImageOptions,
    views_of,
)
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.fixed_order import STORED, check_rows
from keras_loader_bench.loaders.encoded.views import Views, cut
from keras_loader_bench.loaders.torch_loader import as_tensors, data_loader, end_workers

_ENDINGS = ("jpg", "png", "bmp", "gif")
_VIEW = "view"


class WithViews:
    """Gives every sample its view.

    Args:
        draw: returns the views of an epoch, by its number.
        epoch: its `value`, which workers share, is the epoch of the pass that begins.
    """

    def __init__(self, draw: Callable[[int], Views], epoch: Any) -> None:
        self._draw = draw
        self._epoch = epoch

    def __call__(self, samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Return the samples of a pass."""
        views = self._draw(self._epoch.value).tolist()
        return ({**sample, _VIEW: view} for sample, view in zip(samples, views, strict=True))


class BatchInForm:
    """Decodes the samples of a batch by WebDataset's own decoder, which is Pillow.

    Args:
        source: the size of the images and the number of classes.
        pixels: `float32` or `uint8`.
    """

    def __init__(self, source: EncodedSource, pixels: Pixels) -> None:
        self._image_size, self._num_classes = source.image_size, source.num_classes
        self._pixels = pixels
        self._decode = webdataset.imagehandler("rgb8", _ENDINGS)

    def __call__(self, samples: list[dict[str, Any]]) -> Batch:
        """Return the batch of some samples, which hold encoded images and labels in digits."""
        images = np.stack([self._image(sample) for sample in samples])
        labels = np.array([int(sample["cls"]) for sample in samples])
        return batch_of(images, labels, self._num_classes, self._pixels)

    def _image(self, sample: dict[str, Any]) -> Any:
        (ending,) = sample.keys() & set(_ENDINGS)
        image = self._decode(ending, sample[ending])
        return cut(image, self._image_size, sample[_VIEW])


class BatchesOfWorker:
    """Takes every n-th batch in each of n workers; torch takes them in turn.

    Args:
        closed: an event that workers share. Once it is set, nothing more is taken.
    """

    def __init__(self, closed: Any) -> None:
        self._closed = closed

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Return the batches of the worker that calls."""
        worker = get_worker_info()
        if worker is not None:
            batches = islice(batches, worker.id, None, worker.num_workers)
        return takewhile(lambda _: not self._closed.is_set(), batches)


class WithLength(IterableDataset[Any]):
    """Batches and how many they are, or Keras warns after the first epoch that the data ran out.

    What WebDataset's own `with_length` returns cannot be sent to a worker that is spawned.

    Args:
        batches: any iterable.
        length: how many it gives.
    """

    def __init__(self, batches: Iterable[Any], length: int) -> None:
        self._batches = batches
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)


class WebDatasetLoader(ImageLoader):
    """One `DataLoader` for all calls with as many rows.

    `num_workers` are its processes, which live until then. By default WebDataset gives each worker
    shards of its own, which mixes their rows and leaves each an incomplete batch. Here each passes
    over all shards and decodes every n-th batch, so that the order stays. Without workers each
    batch is made on the thread that asks for it.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self.only_rows = np.arange(source.num_samples)
        self._shards = [str(path) for path in prepare_container(source, "tar").files]
        self._data_loader: Any = None
        self._made_for = 0
        spawn = torch.multiprocessing.get_context("spawn")
        self._closed, self._epoch = spawn.Event(), spawn.Value("q")

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `DataLoader`.

        Raises:
            ValueError: the rows are not the stored ones from 0 on.
        """
        check_rows(self, rows, STORED)
        self._epoch.value = self.epoch
        if self._made_for != len(rows):
            self.close()
            self._data_loader = self._made(len(rows))
            self._made_for = len(rows)
        return {"x": self._data_loader}

    def _made(self, num_samples: int) -> Any:
        options = self.options
        dataset = (
            webdataset.WebDataset(self._shards, shardshuffle=False, workersplitter=None)
            .slice(num_samples)
            .compose(WithViews(partial(views_of, self.source, options, num_samples), self._epoch))
            .listed(options.batch_size)
            .compose(BatchesOfWorker(self._closed))
            .map(BatchInForm(self.source, options.pixels))
        )
        batches = WithLength(dataset, -(-num_samples // options.batch_size))
        return data_loader(batches, options, batch_size=None, collate_fn=as_tensors)

    def close(self) -> None:
        """End the worker processes."""
        if self._data_loader is not None:
            self._closed.set()
            end_workers(self._data_loader)
            self._closed.clear()
            self._data_loader, self._made_for = None, 0
