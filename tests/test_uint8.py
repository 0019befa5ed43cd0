"""`pixels="uint8"` from the source to the loss: a quarter of the bytes, and the same bits."""

import keras
import numpy as np
import pytest
from registered import CIFAR10

from keras_loader_bench.bench.child.models import fit, make_model
from keras_loader_bench.loaders import LoaderOptions, ScalePixels, make_loader
from keras_loader_bench.loaders.contract import scale_pixels

pytestmark = pytest.mark.each_backend

ALL_VALUES = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1) * np.ones(
    (1, 32, 32, 3), np.uint8
)


def scaled(layer, *, compiled: bool):
    model = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), layer])
    model.compile(loss="mse", jit_compile=compiled, run_eagerly=not compiled)
    return model.predict(ALL_VALUES, batch_size=256, verbose=0)


def can_compile() -> bool:
    return keras.backend.backend() != "torch"  # its compiler needs one for C++


@pytest.mark.parametrize("compiled", [False, True])
def test_every_value_is_scaled_as_loaders_do_it(compiled):
    if compiled and not can_compile():
        pytest.skip("torch's compiler needs a compiler for C++")
    have = scaled(ScalePixels(), compiled=compiled)
    assert have.dtype == np.float32
    assert have.tobytes() == scale_pixels(ALL_VALUES).tobytes()


def test_it_stays_exact_under_a_policy_of_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = ScalePixels()
    finally:
        keras.config.set_dtype_policy("float32")
    assert scaled(layer, compiled=False).tobytes() == scale_pixels(ALL_VALUES).tobytes()


@pytest.mark.long
def test_the_loss_is_the_same_whichever_form_is_delivered(source):
    losses = {}
    for pixels in ("float32", "uint8"):
        keras.utils.set_random_seed(0)
        model = make_model(
            "cnn", CIFAR10[pixels], precision="float32", jit_compile="auto", steps_per_execution=1
        )
        curve: list[float] = []

        class Note(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None, curve=curve):
                curve.append(float(logs["loss"]))

        options = LoaderOptions(batch_size=32, pixels=pixels)
        with make_loader("sequence", source, options) as loader:
            fit(model, loader, np.random.default_rng(0).permutation(source.num_samples), [Note()])
        losses[pixels] = curve
    assert len(losses["float32"]) == 8
    # The inputs are the same bits; what a compiler makes of the layers behind may round otherwise.
    np.testing.assert_allclose(losses["uint8"], losses["float32"], rtol=1e-4)
