"""`image_dataset_from_directory` as Keras ships it, and the order that it has.

It is called as in https://keras.io/api/data_loading/image/, with its defaults: the whole image is
resized bilinearly, whatever its proportions (`crop_to_aspect_ratio=False`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.fixed_order import check_rows
from keras_loader_bench.loaders.encoded.registry import DRAWS_NOTHING


def keras_directory(source: EncodedSource, options: ImageOptions, kind: str) -> tuple[Any, Rows]:
    """Return the dataset of a source's folder and the rows that it delivers.

    Args:
        source: the encoded images.
        options: the batch size.
        kind: what it is told as `format`: `tf` or `grain`.

    Returns:
        A dataset of float32 images from 0 to 255 and one-hot labels, and the rows, int64 `(n,)`:
        by class, in the order of the names in it.

    Raises:
        ValueError: other parts than the whole image are asked for.
    """
    if options.augment_seed is not None:
        raise ValueError(f"`augment_seed` must be None: {DRAWS_NOTHING}.")
    dataset = keras.utils.image_dataset_from_directory(
        prepare_container(source, "folder").data,
        label_mode="categorical",
        batch_size=options.batch_size,
        image_size=(source.image_size, source.image_size),
        shuffle=False,
        format=kind,
        verbose=False,
    )
    return dataset, np.array([int(Path(path).stem) for path in dataset.file_paths])


def whole_batches(loader: ImageLoader, rows: Rows) -> int:
    """Return how many batches the rows are.

    Raises:
        ValueError: they are not the first ones of the directory, or end within a batch.
    """
    batch_size, all_rows = loader.options.batch_size, loader.source.num_samples
    check_rows(loader, rows, "`image_dataset_from_directory` goes by class and name")
    if len(rows) % batch_size and len(rows) < all_rows:
        raise ValueError(
            f"`rows` must be whole batches of {batch_size}, or all {all_rows} rows, got "
            f"{len(rows)}: Keras has made the batches. Of `source.head(n)`, all are fewer."
        )
    return -(-len(rows) // batch_size)
