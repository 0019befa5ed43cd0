"""What the loaders of encoded images have in common: their options, and the views of a pass.

Must not know: any framework.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import Views, draw_views, margin
from keras_loader_bench.loaders.sources.stored_array import SourceError


@dataclass(frozen=True, kw_only=True)
class ImageOptions(LoaderOptions):
    """What a loader of encoded images can be asked for.

    Raises:
        ValueError: an option has a value outside its range; the message names both.
    """

    augment_seed: int | None = None
    """Of the part of each image that is delivered, see `draw_views`; `None`: it is the centre."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seed = self.augment_seed
        if seed is not None and (not isinstance(seed, int) or seed < 0):
            raise ValueError(f"`augment_seed` must be an integer of at least 0, got {seed!r}.")


class ImageLoader(Loader[EncodedSource]):
    """A loader of encoded images, which may deliver drawn parts of them.

    Set `epoch` before `fit_args`, or every `fit` has the same parts.

    Args:
        source: the images. With an `augment_seed`, each must be larger than `source.image_size` by
            twice the `margin` of that.
        options: batch size, the form of the pixels, workers, augmentation.

    Raises:
        SourceError: some images are smaller.
    """

    options: ImageOptions

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        if options.augment_seed is None:
            return
        needed = source.image_size + 2 * margin(source.image_size)
        small = int((source.sizes.min(axis=1) < needed).sum())
        if small:
            raise SourceError(
                f"With `augment_seed`, images must have at least {needed} x {needed} pixels for an "
                f"`image_size` of {source.image_size}; {small:,} of {source.num_samples:,} are "
                "smaller. Ask for a smaller `image_size`, or leave out `augment_seed`."
            )

    def views(self, rows: Rows) -> Views:
        """Return the view of each of the rows that `fit_args` was given; see `draw_views`."""
        return views_of(self.source, self.options, len(rows), self.epoch)


def views_of(source: EncodedSource, options: ImageOptions, count: int, epoch: int) -> Views:
    """Return the views of a pass over so many samples: drawn ones, or the centre of each."""
    if options.augment_seed is None:
        return np.zeros((count, 3), np.int32)
    return draw_views(count, source.image_size, seed=options.augment_seed, epoch=epoch)
