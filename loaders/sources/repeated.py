"""A source larger than CIFAR-10: its rows, repeated on disk."""

from __future__ import annotations

from collections.abc import Iterator

from keras_loader_bench.loaders.sources.cache import Chunk, cache_folder, find_source, write_source
from keras_loader_bench.loaders.sources.image_source import ImageSource

_CHUNK_ROWS = 4096


def repeat_source(source: ImageSource, num_samples: int) -> ImageSource:
    """Return a source that repeats all rows of another one, in their order; kept in the cache.

    Args:
        source: the rows to repeat; none of them is held in memory.
        num_samples: rows of the result, more than `source` has. The last repetition may be cut.

    Returns:
        A source of the same edition and split, named `<name>-repeated`, verified. Row `i` of it is
        row `i % source.num_samples` of the other one.

    Raises:
        SourceError: the disk has no room for it (3,073 bytes per sample) or the cache is read-only.
    """
    inputs = {
        "images_sha256": source.images_sha256,
        "labels_sha256": source.labels_sha256,
        "rows": str(source.num_samples),
    }
    key = f"{source.images_sha256[:16]}-{source.num_samples}"
    target = cache_folder() / f"{source.name}-{source.split}-repeated-{num_samples}-{key}"
    return find_source(target, inputs=inputs) or write_source(
        target,
        name=f"{source.name}-repeated",
        split=source.split,
        edition=source.edition,
        class_names=source.class_names,
        sample_shape=source.sample_shape,
        num_samples=num_samples,
        chunks=_chunks(source, num_samples),
        inputs=inputs,
    )


def _chunks(source: ImageSource, num_samples: int) -> Iterator[Chunk]:
    written = 0
    while written < num_samples:
        start = written % source.num_samples
        stop = min(start + _CHUNK_ROWS, source.num_samples, start + num_samples - written)
        yield source.images[start:stop], source.labels[start:stop]
        written += stop - start
