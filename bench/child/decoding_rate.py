"""Times decoding alone: what no loader of encoded images can exceed on this machine."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.system.cores import usable_cores

MOST_BYTES = 64 * 2**20
"""Of encoded images that are in memory."""


def decoding_rate(source: EncodedSource, seconds: float) -> dict[str, Any]:
    """Decode a source's first images again and again, with a thread for each core.

    Their bytes are in memory, and the pixels go into an array that is there already: what is left
    is the decoder of the contract, and the cut.

    Args:
        source: the encoded images.
        seconds: how long about.

    Returns:
        `samples` that were decoded, and the `seconds` that took.
    """
    most = max(1, int(MOST_BYTES / source.bytes_per_sample))
    images = [bytes(source.encoded(row)) for row in range(min(most, source.num_samples))]
    threads = usable_cores()
    begin = time.perf_counter()
    end = begin + seconds

    def work(first: int) -> int:
        out = np.empty(source.sample_shape, np.uint8)
        for count, place in enumerate(itertools.count(first, threads)):
            if time.perf_counter() >= end:
                return count
            decode(images[place % len(images)], source.image_size, out=out)
        raise AssertionError("places have no end")

    with ThreadPoolExecutor(threads) as pool:
        samples = sum(pool.map(work, range(threads)))
    return {"samples": samples, "seconds": time.perf_counter() - begin}
