"""What a report tells people to write for data of their own trains a model on every sample."""

import keras
import numpy as np
import psutil
import pytest

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.sections.own_data import own_data
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.encoded.registry import IMAGE_LOADERS
from keras_loader_bench.loaders.registry import missing_package

SAMPLES, SIZE = 150, 32


def runnable(entries):
    return [
        pytest.param(
            entry,
            workers,
            id=f"{name}-w{workers}",
            marks=pytest.mark.skipif(bool(reason), reason=str(reason)),
        )
        for name, entry in entries.items()
        if entry.recipe is not None
        for workers in ((0, 2) if entry.has_workers else (0,))
        for reason in [missing_package(entry.packages)]
    ]


def test_every_loader_that_is_recommended_by_default_has_one():
    assert [name for name, entry in LOADERS.items() if not (entry.recipe or entry.opt_in)] == []


def model_of(shape, classes):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    model = keras.Sequential(layers)
    model.compile(optimizer="sgd", loss="mse")
    return model


def trained(entry, workers, model, monkeypatch, **names):
    """Execute the lines, with fewer epochs, and return the samples of each epoch."""
    code = entry.recipe.written(batch_size=64, num_workers=workers, image_size=SIZE)
    code = code.replace("epochs=10", "epochs=2").replace("range(10)", "range(2)")
    assert len(code.splitlines()) <= 16
    assert max(map(len, code.splitlines())) <= 100
    seen = []

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs["loss"])

    fit = model.fit
    monkeypatch.setattr(
        model, "fit", lambda *args, **how: fit(*args, **how, verbose=0, callbacks=[Count()])
    )
    names["model"] = model
    try:
        exec(compile(code, "recipe", "exec"), names)
    finally:
        # On TensorFlow Keras keeps what it was given, and with it torch's processes: these would
        # live on, with a copy of each pipe of this one.
        if entry is LOADERS["torch"] and "data" in names:
            from keras_loader_bench.loaders.torch_loader import end_workers

            end_workers(names["data"])
    return seen


@pytest.mark.each_backend
@pytest.mark.parametrize(("entry", "workers"), runnable(LOADERS))
# `fork` beside threads, which the lines leave to torch.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
# Keras does not shuffle a tf.data dataset; the one that `bridge` returns shuffles itself.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
# Keras does not know the length of a Grain dataset; every epoch is whole.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_it_trains_on_arrays(entry, workers, monkeypatch):
    before = psutil.Process().children()
    random = np.random.default_rng(0)
    x = random.random((SAMPLES, 4), "float32")
    y = random.random((SAMPLES, 3), "float32")
    losses = trained(entry, workers, model_of((4,), 3), monkeypatch, x=x, y=y, np=np)
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert psutil.Process().children() == before


@pytest.mark.each_backend
@pytest.mark.parametrize(("entry", "workers"), runnable(IMAGE_LOADERS))
# As above.
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_it_trains_on_a_folder_of_images(entry, workers, monkeypatch, tmp_path):
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    losses = trained(entry, workers, model_of((SIZE, SIZE, 3), 2), monkeypatch)
    assert len(losses) == 2


def test_a_report_has_the_lines_of_what_it_recommends(run):
    rows = rows_from_run(parse_run(run))
    (found,) = own_data(recommend(rows))
    text = report_markdown(parse_run(run), rows, [], plots=[])
    section = text.partition("## For data of your own")[2].partition("\n## ")[0]
    assert f"`{found.loader}` is " in section
    assert f"```python\n{found.code}\n```" in section
    assert "`x` and `y` are arrays" in section


def test_a_loader_without_lines_is_left_out(run):
    run["cases"] = [each for each in run["cases"] if each["case"]["loader"] == "sequence"]
    for each in run["cases"]:
        each["case"]["loader"] = "another"
    rows = rows_from_run(parse_run(run))
    assert recommend(rows)[0].row is not None
    assert own_data(recommend(rows)) == []
