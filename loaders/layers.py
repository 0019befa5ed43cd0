"""`ScalePixels`, the layer that rescales uint8 pixels, so that fewer bytes go to the device."""

from __future__ import annotations

from typing import Any

import keras

# 1/255 as a sum of two numbers. The first has 16 significant bits, so that its product with a pixel
# of 8 bits is exact in float32; the second is the float32 nearest to the rest.
_RECIPROCAL = 32897 / 2**23
_REST = 1 / 255 - _RECIPROCAL


class ScalePixels(keras.layers.Layer):
    """Turns uint8 pixels into the float32 pixels that loaders deliver, bit by bit.

    ```python
    model = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), ScalePixels(), ...])
    ```

    `keras.layers.Rescaling(1 / 255)` rounds 126 of the 256 values otherwise, and XLA makes the same
    of a division. Here two products are added, of which one is exact, so that the sum is rounded
    once in effect. Whatever the dtype policy, it computes in float32; the next layer casts.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})

    def call(self, images: Any) -> Any:
        """Return `images / 255`, correctly rounded in float32.

        Args:
            images: uint8, any shape.
        """
        pixels = keras.ops.cast(images, "float32")
        return pixels * _RECIPROCAL + pixels * _REST

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape
