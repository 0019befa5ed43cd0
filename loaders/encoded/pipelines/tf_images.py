"""What the tf.data pipelines of encoded images share: the graph from bytes to a batch."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_loader_bench.loaders.contract import LoaderOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource


def batches(encoded: Any, source: EncodedSource, options: LoaderOptions) -> Any:
    """Return the dataset of `(x, y)` by the advice of TensorFlow's performance guide.

    https://www.tensorflow.org/guide/data_performance: a parallel map, and prefetching, both left to
    `AUTOTUNE`; with workers, as many images are decoded in parallel.

    Args:
        encoded: a dataset of encoded images and labels, scalars, and views where parts are drawn.
        source: says what the images are to become.
        options: batch size, the form of the pixels, workers.
    """

    def decoded(image: Any, label: Any, *view: Any) -> tuple[Any, Any]:
        return decode_part(image, source.image_size, *view), tf.one_hot(label, source.num_classes)

    def scaled(x: Any, y: Any) -> tuple[Any, Any]:
        return tf.cast(x, tf.float32) / 255.0, y

    in_parallel = options.num_workers or tf.data.AUTOTUNE
    dataset = encoded.map(decoded, num_parallel_calls=in_parallel).batch(options.batch_size)
    if options.pixels == "float32":
        dataset = dataset.map(scaled, num_parallel_calls=in_parallel)
    return dataset.prefetch(tf.data.AUTOTUNE)


def decode_part(encoded: Any, image_size: int, view: Any = None) -> Any:
    """Return the pixels of the decode contract, a tensor uint8 `(image_size, image_size, 3)`.

    Of the centre, unless there is a `view`, a tensor int32 `(3,)`; see `loaders.encoded.views`.

    `decode_jpeg` also reads PNG and GIF, which `decode_image` cannot be told the DCT of; only for
    BMP is there a function of its own.
    """
    image = tf.cond(
        tf.strings.substr(encoded, 0, 2) == b"BM",
        lambda: tf.io.decode_bmp(encoded, channels=3),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
    )
    shape = tf.shape(image)
    top, left = (shape[0] - image_size) // 2, (shape[1] - image_size) // 2
    if view is not None:
        top, left = top + view[0], left + view[1]
    part = image[top : top + image_size, left : left + image_size]
    if view is not None:
        part = tf.cond(view[2] > 0, lambda: tf.image.flip_left_right(part), lambda: part)
    return tf.ensure_shape(part, (image_size, image_size, 3))
