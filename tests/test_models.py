"""The models are what they claim to be."""

import os
import subprocess
import sys
from importlib import metadata

import keras
import numpy as np
import pytest
from conftest import PACKAGE
from registered import CIFAR10

from keras_loader_bench.bench.child import models
from keras_loader_bench.bench.child.ceiling import CeilingLoader
from keras_loader_bench.bench.child.device import describe_backend
from keras_loader_bench.bench.child.framework import set_seed
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.loaders import LoaderOptions, make_loader, sample_order
from keras_loader_bench.loaders.audit.batches.recording import record_fit
from keras_loader_bench.loaders.sources.synthetic import prepare_synthetic

each_backend = pytest.mark.each_backend


@each_backend
def test_the_cnn_has_its_parameters():
    assert models.cnn(CIFAR10["float32"]).count_params() == models.CNN_PARAMETERS == 550_570
    assert models.cnn(CIFAR10["uint8"]).count_params() == 550_570


def test_the_models_of_training_cases_are_those_that_can_be_asked_for():
    assert {"null", *CASE_OPTIONS["model"].choices} == set(models.MODELS)


@each_backend
@pytest.mark.long
def test_a_seed_fixes_the_weights_and_imports_nothing():
    script = (
        "import sys; from keras_loader_bench.bench.child.framework import import_modules, set_seed;"
        "import_modules(backend=sys.argv[1], packages=[]); before = set(sys.modules);"
        "set_seed(0); assert set(sys.modules) == before;"
        "import keras; make = lambda: keras.layers.Dense(4);"
        "layers = [make() for _ in range(2)]; set_seed(0); layers += [make()];"
        "[layer.build((None, 3)) for layer in layers];"
        "first, second, again = (layer.get_weights()[0].tolist() for layer in layers);"
        "assert first == again != second"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", script, keras.backend.backend()]
    subprocess.run(command, check=True, env=environment, timeout=120)


@each_backend
def test_layers_that_augment_make_the_same_choices_after_the_same_seed():
    images = np.random.default_rng(0).integers(256, size=(64, 36, 36, 3)).astype("float32")

    def augmented(seed, training=True):
        set_seed(seed)
        model = keras.Sequential([keras.Input((36, 36, 3)), *models.augmentation(32)])
        return keras.ops.convert_to_numpy(model(images, training=training))

    first, again, other = augmented(0), augmented(0), augmented(1)
    assert first.shape == (64, 32, 32, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    found = [of_each(image, part) for image, part in zip(images, first, strict=True)]
    # As a report says: one place for all images of a batch, and each is mirrored or not.
    assert len({place for place, _ in found}) == 1
    assert {mirrored for _, mirrored in found} == {False, True}


def of_each(image, part):
    """The place of a part in its image, which may have been mirrored before."""
    size = len(part)
    for mirrored, seen in ((False, image), (True, image[:, ::-1])):
        for place in np.ndindex(len(image) - size + 1, len(image) - size + 1):
            top, left = place
            if np.array_equal(seen[top : top + size, left : left + size], part):
                return place, mirrored
    raise AssertionError("it is no part of the image")


@each_backend
@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_a_cnn_that_augments_has_the_weights_of_one_that_does_not(pixels):
    small = models.Samples(shape=(64, 64, 3), num_classes=10, pixels=pixels)
    large = models.Samples(shape=(72, 72, 3), num_classes=10, pixels=pixels, part=64)
    one, other = (models.cnn(samples) for samples in (small, large))
    assert one.count_params() == other.count_params()
    assert other.input_shape == (None, 72, 72, 3)


@pytest.mark.long
def test_the_cnn_learns_from_the_synthetic_edition():
    source = prepare_synthetic(1000, "train")
    keras.utils.set_random_seed(0)
    model = models.cnn(CIFAR10["float32"])
    losses = []
    with make_loader("sequence", source, LoaderOptions(batch_size=32)) as loader:
        for epoch in range(3):
            rows = sample_order(source.num_samples, seed=0, epoch=epoch)
            history = model.fit(**loader.fit_args(rows), shuffle=False, verbose=0).history
            losses += history["loss"]
    chance = np.log(10)
    assert losses[-1] < 0.9 * chance
    assert losses == sorted(losses, reverse=True)


def test_bytes_and_floats_make_the_same_predictions():
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    from_floats, from_bytes = models.cnn(CIFAR10["float32"]), models.cnn(CIFAR10["uint8"])
    from_bytes.set_weights(from_floats.get_weights())
    predictions = from_bytes.predict(images, verbose=0)
    assert predictions == pytest.approx(
        from_floats.predict(images / np.float32(255), verbose=0), abs=1e-5
    )


@each_backend
@pytest.mark.parametrize("name", sorted(models.MODELS))
@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_a_model_counts_the_samples_of_every_fit(name, pixels, source):
    model = models.MODELS[name](CIFAR10[pixels])
    with make_loader("sequence", source, LoaderOptions(pixels=pixels)) as loader:
        for count in (230, 64, 1):
            assert models.fit(model, loader, np.arange(count)) == count


@each_backend
@pytest.mark.parametrize("count", [230, 128, 64, 1])
def test_the_ceiling_repeats_its_batch_for_as_many_samples(count, source):
    batches = []
    options = LoaderOptions(batch_size=64)
    with CeilingLoader(source, options) as ceiling:
        record_fit(ceiling.fit_args(np.arange(count)), [batches.append])
        assert models.fit(models.null(CIFAR10["float32"]), ceiling, np.arange(count)) == count
    sizes = [len(batch["x"]) for batch in batches]
    assert sizes == [64] * (count // 64) + ([count % 64] if count % 64 else [])
    for batch in batches:
        for name in ("x", "y"):
            assert (batch[name] == batches[0][name][: len(batch[name])]).all()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about tf.data's graphs")
def test_the_ceiling_leaves_the_batch_size_open_as_loaders_do(source):
    """Or the model would be traced twice, and its ceiling be that of another graph."""
    options = LoaderOptions(batch_size=64)
    with (
        CeilingLoader(source, options) as ceiling,
        make_loader("tuned_tf_data", source, options) as fed,
    ):
        for count in (128, 100):
            rows = np.arange(count)
            dataset, other = ceiling.fit_args(rows)["x"], fed.fit_args(rows)["x"]
            assert dataset.element_spec == other.element_spec
            assert dataset.cardinality() == other.cardinality() == 2


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="elsewhere logs are no views")
@each_backend
def test_logs_that_are_kept_keep_no_batch():
    """Keras hands logs to threads of its own, which read them some batches later."""
    model = models.make_model(
        "null", CIFAR10["float32"], precision="float32", jit_compile="auto", steps_per_execution=1
    )
    x, y = np.zeros((4, 32, 32, 3), np.float32), np.zeros((4, 10), np.float32)
    before = sys.getrefcount(x)
    import torch

    batch = tuple(map(torch.from_numpy, (x, y)))
    logs = model.train_step(batch)
    del batch
    assert logs["samples"] == 4
    assert sys.getrefcount(x) == before


@each_backend
def test_the_backend_says_its_version_and_its_device():
    described = describe_backend()
    assert described["version"] == metadata.version(keras.backend.backend())
    assert described["device"]


@each_backend
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn", {"precision": "mixed_bfloat16"}),
        ("null", {"precision": "mixed_bfloat16"}),
        ("null", {"jit_compile": "off"}),
        ("null", {"jit_compile": "on"}),
        ("null", {"steps_per_execution": 3}),
    ],
    ids=str,
)
def test_every_option_of_a_step_trains_on_every_sample(name, options, source):
    """An option that Keras ignored would be measured as another case."""
    if keras.backend.backend() == "torch" and (
        "steps_per_execution" in options or options == {"jit_compile": "on"}
    ):
        pytest.skip("Keras runs one step an execution on torch, and torch.compile needs a compiler")
    given = {"precision": "float32", "jit_compile": "auto", "steps_per_execution": 1} | options
    model = models.make_model(name, CIFAR10["float32"], **given)
    x = source.images[:20].astype("float32") / 255
    y = np.eye(10, dtype="float32")[source.labels[:20]]
    history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert history.history["samples"] == [20]
    assert model.steps_per_execution == given["steps_per_execution"]
    assert (
        model.jit_compile
        is {"auto": model.jit_compile, "on": True, "off": False}[given["jit_compile"]]
    )
    assert model.dtype_policy.name == given["precision"]
    assert keras.config.dtype_policy().name == "float32", "audits and loaders keep theirs"
