"""Every container gives back every record, byte for byte and with its label."""

import numpy as np
import pytest
from encoded_files import jpeg, write

from keras_loader_bench.loaders.encoded.containers import container as containers
from keras_loader_bench.loaders.encoded.containers.container import (
    CONTAINERS,
    prepare_container,
    records,
)
from keras_loader_bench.loaders.encoded.containers.shards import shard_rows
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")

# WebDataset does not close its shards.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture
def source():
    """A row of every kind of file; the label 300 does not fit in a byte."""
    names = tuple(f"{number:03}" for number in range(301))
    return write(cache_folder() / "images", class_names=names, labels=[300, 0, 7])


@pytest.fixture(params=CONTAINERS)
def kind(request):
    if problem := missing_package(CONTAINERS[request.param].packages):
        pytest.skip(problem)
    return request.param


def rows_of(source):
    return [
        (bytes(source.encoded(row)), int(source.labels[row])) for row in range(source.num_samples)
    ]


def read_tfrecord(container):
    import tensorflow as tf

    from keras_loader_bench.loaders.encoded.containers.tfrecord import FEATURES

    for record in tf.data.TFRecordDataset([str(path) for path in container.files]):
        parsed = tf.io.parse_single_example(record, FEATURES)
        yield parsed["image"].numpy(), int(parsed["label"])


def read_tar(container):
    webdataset = pytest.importorskip("webdataset")
    shards = [str(path) for path in container.files]
    for sample in webdataset.WebDataset(shards, shardshuffle=False):
        (image,) = (sample[each] for each in ("jpg", "png", "bmp", "gif") if each in sample)
        yield image, int(sample["cls"])


def read_any_row(container):
    with records(container) as opened:
        yield from [opened[row] for row in range(int(container.inputs["rows"]))]


READERS = {"tfrecord": read_tfrecord, "tar": read_tar}


def test_all_records_come_back_in_order(source, kind):
    container = prepare_container(source, kind)
    assert list(READERS.get(kind, read_any_row)(container)) == rows_of(source)
    assert container.write_s > 0
    assert container.disk_bytes >= source.stored_bytes


def test_a_row_can_be_read_without_the_others_or_it_is_said_that_it_cannot(source, kind):
    container = prepare_container(source, kind)
    if CONTAINERS[kind].any_row:
        with records(container) as opened:
            assert [opened[row] for row in (5, 2)] == [rows_of(source)[row] for row in (5, 2)]
    else:
        with pytest.raises(SourceError, match=f"`{kind}` are read in order only"):
            records(container)


def test_keras_finds_the_folder_with_the_same_classes_and_order(source):
    keras = pytest.importorskip("keras")
    data = prepare_container(source, "folder").data
    theirs = keras.utils.image_dataset_from_directory(data, shuffle=False, verbose=False)
    assert tuple(theirs.class_names) == source.class_names
    rows = [int(path.rpartition("/")[2].partition(".")[0]) for path in theirs.file_paths]
    assert rows == np.argsort(source.labels, kind="stable").tolist()


def test_it_is_written_once_and_again_when_a_file_is_gone(source, kind, monkeypatch):
    first = prepare_container(source, kind)
    with monkeypatch.context() as patch:
        patch.setattr(containers, "temporary_folder", None)
        assert prepare_container(source, kind) == first
    next(path for path in first.data.rglob("*") if path.is_file()).unlink()
    again = prepare_container(source, kind)
    assert list(READERS.get(kind, read_any_row)(again)) == rows_of(source)


def test_a_head_has_a_container_of_its_own(source):
    whole, head = (prepare_container(each, "folder") for each in (source, source.head(2)))
    assert whole.folder != head.folder
    assert list(read_any_row(head)) == rows_of(source)[:2]


def test_nothing_half_written_stays_behind(source, kind, monkeypatch):
    monkeypatch.setattr(type(source), "encoded", property(lambda self: 1 / 0))
    with pytest.raises(SourceError, match=f"`{kind}` cannot be written to .*division by zero"):
        prepare_container(source, kind)
    assert [path.name for path in cache_folder().iterdir()] == ["images"]


def test_shards_have_all_rows_once_and_in_order():
    for rows in (1, 7, 8, 9, 100):
        source = write(cache_folder() / str(rows), [(jpeg(), 0)] * rows)
        shards = shard_rows(source)
        assert [row for shard in shards for row in shard] == list(range(rows))
        assert len(shards) == min(rows, 8)
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_what_is_missing_is_said(source, monkeypatch):
    with pytest.raises(SourceError, match=r"`kind` must be one of .*'zip'"):
        prepare_container(source, "zip")
    entry = containers.ContainerEntry(module=".hdf5", packages=("no_such_package",))
    monkeypatch.setitem(CONTAINERS, "hdf5", entry)
    with pytest.raises(
        SourceError, match=r"`hdf5` cannot be written: .*pip install no_such_package"
    ):
        prepare_container(source, "hdf5")
