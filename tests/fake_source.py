"""A source of a few random images, and how to write it."""

import numpy as np

from keras_loader_bench.loaders.sources.cache import write_source

INPUTS = {"file": "0" * 64}
ROWS = 10


def chunks(rows=ROWS, size=4, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(rows) % 3).astype(np.uint8)
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, rows, size)]


def write(target, parts=None, **changes):
    arguments = {
        "name": "cifar10",
        "split": "train",
        "edition": "unofficial",
        "class_names": ("a", "b", "c"),
        "sample_shape": (32, 32, 3),
        "num_samples": ROWS,
        "chunks": chunks() if parts is None else parts,
        "inputs": INPUTS,
    }
    return write_source(target, **{**arguments, **changes})


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
