"""What a loader is and the lines to write for data of one's own, as a recommendation prints them.

`x` and `y` stand for arrays, in memory or mapped: `np.load("x.npy", mmap_mode="r")`. `photos` is a
folder with a folder of images for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to use a loader for other data."""

    what: str
    """One sentence without a verb."""

    code: str
    """Python with `$batch_size`, `$image_size`, `$workers`, `$threads` (at least 1), `$ahead`
    (batches, 0 without workers) and `$persistent` (an argument, empty without); needs `model`."""

    def written(self, *, batch_size: int, num_workers: int, image_size: int) -> str:
        """Return the code for some options."""
        return Template(self.code.strip()).substitute(
            batch_size=batch_size,
            image_size=image_size,
            workers=num_workers,
            threads=max(1, num_workers),
            ahead=16 if num_workers else 0,
            persistent=", persistent_workers=True" if num_workers else "",
        )


def _py_dataset(fit: str, imports: str = "") -> str:
    """Return a `PyDataset` of `x` and `y`, and the line that fits it."""
    return f"""
import keras
{imports}

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return -(-len(x) // $batch_size)

    def __getitem__(self, index):
        some = slice(index * $batch_size, (index + 1) * $batch_size)
        return x[some], y[some]


{fit}
"""


ARRAYS = Recipe(
    what="arrays in memory, as `fit` takes them",
    code="model.fit(x, y, batch_size=$batch_size, epochs=10)",
)

PY_DATASET_OF_ARRAYS = Recipe(
    what="a `PyDataset` over arrays in memory",
    code=_py_dataset("model.fit(Batches(), epochs=10)"),
)

PY_DATASET = Recipe(
    what="a `PyDataset` over mapped arrays, read by Keras",
    code=_py_dataset("model.fit(Batches(workers=$threads), epochs=10)"),
)

BRIDGED = Recipe(
    what="a lazy `PyDataset`, read through `bridge`",
    code=_py_dataset(
        "model.fit(bridge(Batches(workers=$threads)), epochs=10)",
        imports="from keras_loader_bench.loaders import bridge\n",
    ),
)

DATA_LOADER = Recipe(
    what="torch's `DataLoader`, a batch per fetch",
    code="""
import torch


class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return len(x)

    def __getitems__(self, rows):  # those of a batch
        return torch.from_numpy(x[rows]), torch.from_numpy(y[rows])


options = dict(batch_size=$batch_size, num_workers=$workers$persistent)
data = torch.utils.data.DataLoader(Samples(), shuffle=True, collate_fn=tuple, **options)
model.fit(data, shuffle=False, epochs=10)  # it shuffles itself
""",
)

GRAIN = Recipe(
    what="Grain's `MapDataset`, a batch per read",
    code="""
import grain

rows = grain.MapDataset.range(len(x)).shuffle(seed=0).batch($batch_size)
options = grain.ReadOptions(num_threads=$workers, prefetch_buffer_size=$ahead)
data = rows.map(lambda some: (x[some], y[some])).to_iter_dataset(options)
model.fit(data, shuffle=False, epochs=10)  # one order for all epochs; Keras warns of their end
""",
)

TF_DATA = Recipe(
    what="tf.data over arrays in memory",
    code="""
import tensorflow as tf

data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch($batch_size)
model.fit(data.prefetch(tf.data.AUTOTUNE), shuffle=False, epochs=10)  # it shuffles itself
""",
)

GATHERED = Recipe(
    what="a tf.data graph that gathers the rows of a batch",
    code="""
import tensorflow as tf

images, labels = tf.constant(x), tf.constant(y)  # mapped arrays: `bridge` of a `PyDataset`
rows = tf.data.Dataset.range(len(x)).shuffle(len(x)).batch($batch_size)
data = rows.map(lambda some: (tf.gather(images, some), tf.gather(labels, some)), $threads)
model.fit(data.prefetch(16), shuffle=False, epochs=10)  # it shuffles itself
""",
)

IMAGES = Recipe(
    what="a lazy `PyDataset` that decodes on threads, read through `bridge`",
    code="""
from keras_loader_bench.loaders import sample_order
from keras_loader_bench.loaders.encoded.contract import ImageOptions
from keras_loader_bench.loaders.encoded.known_images import prepare_images
from keras_loader_bench.loaders.encoded.registry import make_image_loader

source = prepare_images("folder:photos", image_size=$image_size)
options = ImageOptions(batch_size=$batch_size, num_workers=$workers)
with make_image_loader("image_sequence", source, options) as loader:
    for epoch in range(10):
        rows = sample_order(source.num_samples, seed=0, epoch=epoch)
        model.fit(**loader.fit_args(rows), shuffle=False, initial_epoch=epoch, epochs=epoch + 1)
""",
)


def _directory(note: str, more: str = "") -> str:
    """Return the lines of `image_dataset_from_directory`, with a note and more options."""
    return f"""
import keras

size = ($image_size, $image_size)
options = dict(label_mode="categorical", batch_size=$batch_size, image_size=size{more})
data = keras.utils.image_dataset_from_directory("photos", **options)
model.fit(data, shuffle=False, epochs=10)  # {note}; pixels are from 0 to 255
"""


DIRECTORY_TF = Recipe(
    what="`image_dataset_from_directory`, which resizes", code=_directory("it shuffles itself")
)

DIRECTORY_GRAIN = Recipe(
    what='`image_dataset_from_directory` with `format="grain"`, which resizes',
    code=_directory("Keras warns of its end", more=', format="grain"'),
)
