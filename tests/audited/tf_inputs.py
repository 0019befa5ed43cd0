"""tf.data datasets for tests of the audit."""

import tensorflow as tf
from inputs import generator

examples = tf.data.Dataset.from_tensor_slices(
    (tf.reshape(tf.range(240, dtype=tf.float32), (40, 6)), tf.range(40))
)
ordered = examples.batch(4)
shuffled = examples.shuffle(40).batch(4)
drops_last = examples.shuffle(40).batch(6, drop_remainder=True)
endless = examples.batch(4).repeat()
shuffled_endless = examples.shuffle(40).batch(4).repeat()


def unknown_length():
    signature = (tf.TensorSpec((None, 6), tf.float32), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(generator, output_signature=signature)
