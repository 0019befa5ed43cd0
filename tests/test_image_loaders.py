"""Every loader of encoded images gives `fit` what `EncodedSource.read` does, or says otherwise."""

import contextlib
import threading
import time
from dataclasses import replace
from functools import cache, partial

import keras
import numpy as np
import pytest
from encoded_files import READ, write
from test_nothing_left import helpers as threads_and_processes
from test_nothing_left import left_over

from keras_loader_bench.bench.child import case_audit
from keras_loader_bench.bench.child.case_audit import audit_rows
from keras_loader_bench.loaders import sample_order
from keras_loader_bench.loaders.audit.batches.recording import record_fit
from keras_loader_bench.loaders.encoded import batches
from keras_loader_bench.loaders.encoded.containers.container import CONTAINERS
from keras_loader_bench.loaders.encoded.contract import ImageOptions, views_of
from keras_loader_bench.loaders.encoded.decoding import decode_whole
from keras_loader_bench.loaders.encoded.image_sequence import ImageSequence, KeptBuffers
from keras_loader_bench.loaders.encoded.photographs import prepare_photographs
from keras_loader_bench.loaders.encoded.registry import IMAGE_LOADERS, make_image_loader
from keras_loader_bench.loaders.encoded.views import draw_views
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")

pytestmark = [
    pytest.mark.each_backend,
    # WebDataset does not close its shards.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

BACKEND = keras.backend.backend()
BATCH_SIZE = 16  # leaves two of 50 samples for the last batch
OWN_THREADS = ("image_sequence", "hdf5_batched")  # more than two work at two batches


def variant(name, workers):
    reason = missing_package(IMAGE_LOADERS[name].packages)
    marks = [pytest.mark.skip(reason)] if reason else []
    return pytest.param(name, workers, marks=marks, id=f"{name}-w{workers}")


def variants(fits=lambda entry: True, *, with_workers=True):
    """The loaders that fit, each with and without workers, where it is not known to fail."""
    return pytest.mark.parametrize(
        ("name", "workers"),
        [
            variant(name, workers)
            for name, entry in IMAGE_LOADERS.items()
            for workers in ((0, 2) if entry.has_workers and with_workers else (0,))
            + ((6,) if name in OWN_THREADS and with_workers else ())
            if fits(entry) and not entry.expected_failure(BACKEND, workers)
        ],
    )


every_loader = variants()
every_exact_loader = variants(lambda entry: entry.other_pixels is None)
every_loader_of_one_order = variants(lambda entry: entry.order != "any")
every_loader_of_other_pixels = variants(lambda entry: entry.other_pixels is not None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A Keras home for the whole module: containers are written once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def keras_home(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def photographs(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home))
        return prepare_photographs(50, "train", image_size=64, size=(80, 72))


@pytest.fixture(scope="module")
def made(photographs, home):
    """Loaders that are made once: worker processes take seconds to start."""
    with contextlib.ExitStack() as stack:

        @cache
        def make(name, workers, pixels="float32", augment_seed=None):
            options = ImageOptions(
                batch_size=BATCH_SIZE,
                num_workers=workers,
                pixels=pixels,
                augment_seed=augment_seed,
            )
            return stack.enter_context(make_image_loader(name, photographs, options))

        yield make


def fitted(loader, rows, epochs=1):
    seen = []
    record_fit(loader.fit_args(rows), [seen.append] * epochs)
    return seen


def reference(source, rows, pixels, views=None):
    """What the contract says, by NumPy alone."""
    for start in range(0, len(rows), BATCH_SIZE):
        some = slice(start, start + BATCH_SIZE)
        x, labels = source.read(rows[some])
        if views is not None:
            x = np.stack(list(map(partial(part, source), rows[some], views[some])))
        if pixels == "float32":
            x = x.astype(np.float32) / np.float32(255)
        y = np.zeros((len(labels), source.num_classes), np.float32)
        y[np.arange(len(labels)), labels] = 1
        yield {"x": x, "y": y}


def part(source, row, view):
    """One part of an image, as `loaders.encoded.views` describes it."""
    image = decode_whole(source.encoded(row))
    size, (down, right, mirrored) = source.image_size, view
    top, left = (image.shape[0] - size) // 2 + down, (image.shape[1] - size) // 2 + right
    columns = np.arange(left, left + size)
    return image[top : top + size, columns[::-1] if mirrored else columns]


def assert_same(batches, expected):
    for batch, wanted in zip(batches, expected, strict=True):
        assert batch.keys() == wanted.keys()
        for have, want in zip(batch.values(), wanted.values(), strict=True):
            assert (have.dtype, have.shape) == (want.dtype, want.shape)
            assert have.tobytes() == want.tobytes()


def orders_of(loader):
    """Orders that a loader can deliver, of all rows and of some."""
    if loader.only_rows is not None:
        return [loader.only_rows, loader.only_rows[: 2 * BATCH_SIZE]]
    count = loader.source.num_samples
    orders = [sample_order(count, seed=0, epoch=epoch) for epoch in range(2)]
    return [*orders, np.arange(count), np.array([7, 7, 3])]


@every_exact_loader
@pytest.mark.usefixtures("warm_workers")
def test_fit_trains_on_the_reference(name, workers, photographs, made):
    loader = made(name, workers)
    for rows in orders_of(loader):
        assert_same(fitted(loader, rows), reference(photographs, rows, "float32"))


@every_exact_loader
@pytest.mark.usefixtures("warm_workers")
def test_fit_trains_on_decoded_bytes_too(name, workers, photographs):
    options = ImageOptions(batch_size=BATCH_SIZE, num_workers=workers, pixels="uint8")
    with make_image_loader(name, photographs, options) as loader:
        rows = orders_of(loader)[0]
        assert_same(fitted(loader, rows), reference(photographs, rows, "uint8"))


@every_exact_loader
@pytest.mark.usefixtures("warm_workers")
def test_the_parts_that_are_drawn_are_those_of_the_epoch(name, workers, photographs, made):
    loader = made(name, workers, augment_seed=3)
    rows = orders_of(loader)[0]
    for epoch in (0, 1):
        loader.epoch = epoch
        views = draw_views(len(rows), photographs.image_size, seed=3, epoch=epoch)
        assert_same(fitted(loader, rows), reference(photographs, rows, "float32", views))


@pytest.mark.parametrize("name", ["image_sequence", "stock_image_sequence"])
def test_images_without_room_for_other_parts_are_refused(name, photographs):
    """Some loaders delivered black edges, others failed in the middle of training."""
    tight = replace(photographs, image_size=72)
    with pytest.raises(SourceError, match=r"at least 82 x 82 pixels .* of 50 are smaller"):
        make_image_loader(name, tight, ImageOptions(augment_seed=0))
    make_image_loader(name, tight, ImageOptions()).close()


def test_a_package_that_is_missing_is_named_before_anything_is_read(photographs, monkeypatch):
    monkeypatch.setattr("keras_loader_bench.loaders.registry.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="`simplejpeg` is not installed; `pip install simplej"):
        make_image_loader("image_sequence", photographs, ImageOptions())


@variants(lambda entry: not entry.draws_views)
def test_a_loader_that_cannot_draw_parts_says_so(name, workers, photographs):
    with pytest.raises(ValueError, match="resizes the whole image; augment in the model"):
        make_image_loader(name, photographs, ImageOptions(augment_seed=0))


@every_exact_loader
@pytest.mark.usefixtures("warm_workers")
def test_every_epoch_delivers_the_same(name, workers, photographs, made):
    loader = made(name, workers)
    rows = orders_of(loader)[0]
    expected = list(reference(photographs, rows, "float32"))
    assert_same(fitted(loader, rows, epochs=2), expected * 2)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")  # Pillow's
@variants(lambda entry: entry.other_pixels is None, with_workers=False)
def test_every_kind_of_file_is_read_alike(name, workers, keras_home):
    """PNG, BMP and GIF besides JPEG; grey ones and those with alpha."""
    source = write(keras_home / "kinds")
    assert source.num_samples == len(READ)
    with make_image_loader(name, source, ImageOptions(batch_size=BATCH_SIZE)) as loader:
        rows = orders_of(loader)[0]
        assert_same(fitted(loader, rows), reference(source, rows, "float32"))


@every_loader_of_other_pixels
@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_other_pixels_are_other_but_of_the_right_images(
    name, workers, pixels, photographs, made, record_property
):
    loader = made(name, workers, pixels)
    for rows in orders_of(loader):
        batches = fitted(loader, rows)
        expected = list(reference(photographs, rows, pixels))
        assert [batch["x"].shape for batch in batches] == [each["x"].shape for each in expected]
        assert {batch["x"].dtype for batch in batches} == {np.dtype(pixels)}
        assert_same([{"y": batch["y"]} for batch in batches], [{"y": w["y"]} for w in expected])
        have, want = (
            np.concatenate([batch["x"] for batch in each]) for each in (batches, expected)
        )
        levels = np.abs(have.astype(np.float64) - want) * (255 if pixels == "float32" else 1)
        record_property("levels", f"{levels.mean():.1f} in the mean, at most {levels.max():.1f}")
        assert levels.mean() > 1


@every_loader_of_one_order
def test_a_loader_of_one_order_refuses_others(name, workers, photographs, made):
    loader = made(name, workers)
    assert sorted(loader.only_rows) == list(range(photographs.num_samples))
    if IMAGE_LOADERS[name].order == "stored":
        assert loader.only_rows.tolist() == list(range(photographs.num_samples))
    for rows in (loader.only_rows[::-1], loader.only_rows[1:], np.append(loader.only_rows, 0)):
        with pytest.raises(ValueError, match=r"`rows` must be .*Pass `loader.only_rows`"):
            loader.fit_args(rows)


@variants(lambda entry: entry.order == "own")
def test_what_keras_has_batched_is_not_cut(name, workers, made):
    loader = made(name, workers)
    with pytest.raises(ValueError, match="whole batches of 16, or all 50 rows, got 17"):
        loader.fit_args(loader.only_rows[:17])


@variants(with_workers=False)
def test_it_can_deliver_what_an_audit_asks_for(name, workers, photographs, made, monkeypatch):
    """Of 2,000 large photographs, not all: an audit then ends with half a batch if it can."""
    monkeypatch.setattr(case_audit, "AUDIT_BATCHES", (2, 2))
    loader = made(name, workers)
    order = np.arange(photographs.num_samples) if loader.only_rows is None else loader.only_rows
    rows = audit_rows(order, loader)
    assert len(rows) == 32 + (0 if IMAGE_LOADERS[name].order == "own" else 8)
    assert loader.fit_args(rows)


@every_loader
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_closing_ends_every_thread_and_process(name, workers, error, photographs):
    if error and workers and name == "stock_image_sequence":
        pytest.skip("Keras leaves its own threads behind where `fit` raises")
    if error is not RuntimeError and IMAGE_LOADERS[name].worker_processes and workers:
        pytest.skip("as after an error, and processes take seconds to start")
    before = threads_and_processes()
    steps = []

    def step(batch):
        steps.append(len(batch["x"]))
        if error and len(steps) == 3:
            raise error("in the third step")

    options = ImageOptions(batch_size=BATCH_SIZE, num_workers=workers)
    with make_image_loader(name, photographs, options) as loader:
        args = loader.fit_args(orders_of(loader)[0])
        if error is None:
            record_fit(args, [step])
            assert sum(steps) == photographs.num_samples
        else:
            with pytest.raises(error, match="in the third step"):
                record_fit(args, [step])
    del loader, args
    assert not left_over(before)


@pytest.mark.parametrize("workers", [1, 2, 3, 6])
def test_as_many_threads_decode_as_were_asked_for(workers, photographs, monkeypatch):
    lock, busy, most = threading.Lock(), 0, 0

    def slow(encoded, size, *, out, view):
        nonlocal busy, most
        with lock:
            busy, most = busy + 1, max(most, busy + 1)
        time.sleep(0.005)
        with lock:
            busy -= 1

    monkeypatch.setattr(batches, "decode", slow)
    rows = np.arange(len(photographs.labels))
    options = ImageOptions(batch_size=BATCH_SIZE, pixels="uint8", num_workers=workers)
    views = views_of(photographs, options, len(rows), 0)

    def read(some):
        return map(photographs.encoded, some.tolist())

    sequence = ImageSequence(photographs, read, rows, views, options, KeptBuffers())
    with contextlib.closing(sequence):
        assert sum(len(sequence[index][0]) for index in range(len(sequence))) == len(rows)
    assert workers <= most <= workers + 1, "who asks for the first batch decodes it as well"


def test_every_container_of_an_entry_exists():
    assert {entry.container for entry in IMAGE_LOADERS.values()} <= {None, *CONTAINERS}


def test_an_unknown_name_is_refused(photographs):
    with pytest.raises(ValueError, match="Unknown loader `zip`; the loaders of images are decoded"):
        make_image_loader("zip", photographs, ImageOptions())


@pytest.mark.parametrize("name", OWN_THREADS)
def test_batches_of_all_epochs_lie_in_the_same_buffers(name, photographs):
    """Each epoch's own left two batches with the C library: on JAX, footprints were doubled."""
    if reason := missing_package(IMAGE_LOADERS[name].packages):
        pytest.skip(reason)
    options = ImageOptions(batch_size=BATCH_SIZE, num_workers=2)
    with make_image_loader(name, photographs, options) as loader:
        pools = set()
        for _ in range(3):
            fitted(loader, np.arange(50))
            pools.update(map(id, loader._sequences.buffers._pools.values()))
            first = loader._sequences.buffers
        assert len(pools) == 1
    assert loader._sequences.buffers is not first, "and go with it"
