"""The contract between a loader and its users.

It says what a batch is, which options every loader takes, and what a loader must do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, get_args

import numpy as np
import numpy.typing as npt
from typing_extensions import TypeVar

from keras_loader_bench.loaders.sources.image_source import ImageSource

Batch = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]
"""`(x, y)`: x float32 or uint8 `(n, *sample_shape)`, y float32 one-hot `(n, num_classes)`; of
CIFAR-10 `(n, 32, 32, 3)` and `(n, 10)`."""

Rows = npt.NDArray[np.integer[Any]]
"""Row numbers of a source in the order in which they are delivered, shape `(n,)`."""

Pixels = Literal["float32", "uint8"]


class Source(Protocol):
    """What every source has: an `ImageSource`, and an `EncodedSource` of encoded images."""

    @property
    def num_samples(self) -> int:
        """Rows that can be read."""

    @property
    def num_classes(self) -> int:
        """The width of a one-hot label."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one image, whose values are uint8."""

    def read(self, rows: Rows) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
        """Return images, uint8 `(n, *sample_shape)`, and labels, integers `(n,)`, of some rows."""


S = TypeVar("S", bound=Source, default=ImageSource)
"""The kind of source that a loader reads: `Loader` is short for `Loader[ImageSource]`."""


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """What every loader can be asked for. Options validate themselves.

    Raises:
        ValueError: an option has a value outside its range; the message names both.
    """

    batch_size: int = 64
    """Samples in every batch but the last one of an epoch, which may be smaller."""

    pixels: Pixels = "float32"
    """`float32`: `uint8 / 255`, correctly rounded. `uint8`: as stored; the model rescales."""

    num_workers: int = 0
    """Threads or processes that prepare batches beside the thread that trains. 0: none are asked
    for. Each loader says in its class's documentation what it maps this to."""

    prefetch_batches: int = 4
    """Batches that workers may prepare ahead, at least one a worker; unused without workers."""

    def __post_init__(self) -> None:
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"`batch_size` must be a positive integer, got {self.batch_size!r}.")
        for name, least in (("num_workers", 0), ("prefetch_batches", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
        if self.pixels not in get_args(Pixels):
            raise ValueError(f"`pixels` must be one of {get_args(Pixels)}, got {self.pixels!r}.")


class Loader(ABC, Generic[S]):
    """Turns rows of a source into what `keras.Model.fit` trains on.

    A loader opens its source when it is made, may keep its pipeline between calls of `fit_args`,
    and must deliver the same bytes for the same rows, every time and in every process. It never
    decides an order and never drops, repeats or pads a sample.

    Args:
        source: the stored images; the loader does not own it.
        options: batch size, the form of the pixels, workers.
    """

    only_rows: Rows | None = None
    """The one order in which it can deliver rows, or the beginning of it; `None`: any rows."""

    only_whole_batches = False
    """Whether rows must end with a whole batch, unless they are all that the source has."""

    epoch = 0
    """That of the next `fit_args`, for a loader that draws anything by it; see `ImageLoader`."""

    def __init__(self, source: S, options: LoaderOptions) -> None:
        self.source = source
        self.options = options

    @abstractmethod
    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return the arguments with which `fit` delivers exactly these rows, in this order.

        They are good until the next call: a loader may keep one pipeline and change its rows.

        Args:
            rows: row numbers, integers of shape `(n,)` with `n >= 1`; each below
                `source.num_samples`.

        Returns:
            Keyword arguments for `model.fit(**args, shuffle=False)`: `x`, and `y`, `batch_size` and
            `steps_per_epoch` where `x` needs them. Every epoch of such a `fit` delivers the same.
        """

    def close(self) -> None:  # most loaders have nothing to close
        """Stop workers and let go of memory. A closed loader delivers nothing more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def scale_pixels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return `images / 255`, correctly rounded in float32.

    It divides: a multiplication by the float32 reciprocal differs for 126 of the 256 values.

    Args:
        images: uint8, any shape.

    Returns:
        float32 in [0, 1], the same shape.
    """
    scaled: npt.NDArray[np.float32] = np.divide(images, np.float32(255), dtype=np.float32)
    return scaled


def one_hot(labels: npt.NDArray[np.integer[Any]], num_classes: int) -> npt.NDArray[np.float32]:
    """Return labels as float32 rows with a single 1.

    Args:
        labels: integers in `[0, num_classes)`, shape `(n,)`.
        num_classes: the width of a row.

    Returns:
        float32 of shape `(n, num_classes)`. (`keras.utils.to_categorical` gives float64.)
    """
    rows: npt.NDArray[np.float32] = np.eye(num_classes, dtype=np.float32)[labels]
    return rows


def batch_of(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    num_classes: int,
    pixels: Pixels,
) -> Batch:
    """Return images and labels in the form of the contract.

    Args:
        images: uint8 `(n, *sample_shape)`.
        labels: integers `(n,)`.
        num_classes: the width of a one-hot label.
        pixels: the form in which the images are wanted.
    """
    x = scale_pixels(images) if pixels == "float32" else images
    return x, one_hot(labels, num_classes)


def make_batch(
    source: ImageSource, rows: Rows, pixels: Pixels, *, empty: Callable[..., Any] = np.empty
) -> Batch:
    """Gather one batch from the memory-mapped source.

    Args:
        source: the stored images.
        rows: the rows of this batch, shape `(n,)`.
        pixels: the form in which the images are wanted.
        empty: makes the arrays for the images, of a shape and a dtype.

    Returns:
        A batch that shares no memory with the source.

    Raises:
        IndexError: a row is none of the source's.
    """
    for row in (rows.min(), rows.max()) if len(rows) else ():
        if not 0 <= row < source.num_samples:
            raise IndexError(
                f"Row {row} does not exist: the source has the rows 0 to {source.num_samples - 1}."
            )
    images = source.images.view(np.ndarray)  # `take` of a `memmap` is slower
    shape = len(rows), *images.shape[1:]
    # Every row exists, so nothing is clipped; the default mode does not write in place.
    x = images.take(rows, axis=0, out=empty(shape, np.uint8), mode="clip")
    if pixels == "float32":
        x = np.divide(x, np.float32(255), out=empty(shape, np.float32), dtype=np.float32)
    return x, one_hot(source.labels.take(rows), source.num_classes)


class Batches:
    """The batches of some rows, each read when it is asked for, from any thread.

    Its pickle holds the path of the source and the rows, and no image.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order, shape `(n,)`.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: the form in which the images are wanted.
    """

    def __init__(self, source: ImageSource, rows: Rows, *, batch_size: int, pixels: Pixels) -> None:
        self._source = source
        self._rows = rows
        self._batch_size = batch_size
        self._pixels = pixels

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch.

        Args:
            index: from 0 to `len(self) - 1`.
        """
        return make_batch(self._source, self._rows_of(index), self._pixels)

    def _rows_of(self, index: int) -> Rows:
        return self._rows[index * self._batch_size : (index + 1) * self._batch_size]
