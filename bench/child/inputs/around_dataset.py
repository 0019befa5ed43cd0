"""The base of datasets that stand around a user's own."""

from __future__ import annotations

from typing import Any

import keras


class AroundDataset(keras.utils.PyDataset):
    """A `PyDataset` that delivers what another one does, with its number of workers.

    Args:
        dataset: is asked for every batch, and told where an epoch begins and ends.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset = dataset

    @property
    def num_batches(self) -> int | None:
        """As many as the dataset has."""
        count: int | None = self.dataset.num_batches
        return count

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def on_epoch_begin(self) -> None:
        """Tell the dataset."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the dataset."""
        self.dataset.on_epoch_end()
