"""What the models need that Keras before 3.12 lacks. Imports Keras, and only in functions."""

from __future__ import annotations

from typing import Any


def supply_view() -> None:
    """Set `keras.ops.view` in this process if it is missing: the same bits as another dtype."""
    import keras

    if hasattr(keras.ops, "view"):
        return
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        view: Any = jax.lax.bitcast_convert_type
    elif backend == "tensorflow":
        import tensorflow as tf

        view = tf.bitcast
    else:
        import torch

        def view(array: Any, dtype: str) -> Any:
            return array.view(getattr(torch, dtype))

    keras.ops.view = view
