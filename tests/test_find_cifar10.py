"""A person gets the source that was asked for, or is told where it was looked for."""

import functools
from pathlib import Path

import fake_cifar10 as fake
import pytest
from fake_cifar10 import ROWS

from keras_loader_bench.loaders.sources import known_sources
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.cifar10_find import find_cifar10
from keras_loader_bench.loaders.sources.image_source import SourceError
from keras_loader_bench.loaders.sources.known_sources import prepare_source


@pytest.fixture
def folder(tmp_path):
    return fake.write_folder(tmp_path)


def test_a_given_folder_is_found(folder):
    archive = folder.parent / "a" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"")
    assert find_cifar10(folder) == find_cifar10(str(folder.parent)) == folder
    assert find_cifar10(archive) == find_cifar10(archive.parent) == archive


@pytest.mark.parametrize(
    "name",
    ["cifar-10-python (1).tar.gz", "cifar-10-python.tgz", "cifar-10-batches-py-target_archive"],
)
def test_an_archive_is_known_by_any_name_that_programs_give_it(tmp_path, name):
    (tmp_path / "cifar-10-python.tar.gz.part").touch()
    (tmp_path / name).touch()
    assert find_cifar10(tmp_path) == tmp_path / name


@pytest.mark.parametrize(("leaf", "problem"), [("nowhere", "does not exist"), ("", "holds no")])
def test_a_given_folder_without_cifar10_is_an_error(tmp_path, leaf, problem):
    message = f"`data_dir` {problem}.*{tmp_path / leaf}.*cifar-10-batches-py.*tar.gz"
    with pytest.raises(SourceError, match=message):
        find_cifar10(tmp_path / leaf)


def test_cifar10_is_looked_for_here_and_where_keras_leaves_it(keras_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_cifar10() is None
    datasets = keras_home / "datasets"
    places = [  # the least preferred first
        datasets / "cifar-10-batches-py-target_archive",
        keras_home / "keras-loader-bench" / "cifar-10-python.tar.gz",
        datasets / "cifar-10-batches-py",
        datasets / "cifar-10-batches-py-target" / "cifar-10-batches-py",
        Path("cifar-10-batches-py"),
    ]
    for place in places:
        if place.name == "cifar-10-batches-py":
            fake.write_folder(place.parent)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"")
        assert find_cifar10() == place


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_part_of_a_folder_in_keras_cache_gives_way_to_the_whole_archive(
    keras_home, tmp_path, monkeypatch, damage
):
    """Keras leaves this where it is ended while it unpacks, and never mends it."""
    monkeypatch.chdir(tmp_path)
    datasets = keras_home / "datasets"
    folder = fake.write_folder(datasets / "cifar-10-batches-py-target")
    archive = fake.write_archive(folder, datasets)
    archive.rename(datasets / "cifar-10-batches-py-target_archive")
    whole = prepare_cifar10(folder, "test", rows_per_batch=ROWS)
    if damage == "missing":
        (folder / "test_batch").unlink()
    else:
        (folder / "test_batch").write_bytes((folder / "test_batch").read_bytes()[:1000])
    found = prepare_cifar10(None, "test", rows_per_batch=ROWS)
    assert found.images_sha256 == whole.images_sha256
    assert list(found.inputs) == ["cifar-10-python.tar.gz"]


def test_of_a_part_of_a_folder_alone_the_missing_file_is_named(keras_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = fake.write_folder(keras_home / "datasets" / "cifar-10-batches-py-target")
    (folder / "data_batch_3").unlink()
    with pytest.raises(SourceError, match="data_batch_3` is missing"):
        prepare_cifar10(None, "train", rows_per_batch=ROWS)
    assert prepare_cifar10(None, "test", rows_per_batch=ROWS).num_samples == ROWS


@pytest.mark.parametrize(
    "parents",
    ["cifar-10-batches-py", "cifar-10-python", "cifar-10-python/cifar-10-python", "CIFAR10"],
)
def test_a_folder_within_others_of_its_name_is_found(tmp_path, monkeypatch, parents):
    """As programs leave it that unpack an archive into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    folder = fake.write_folder(tmp_path / parents)
    assert find_cifar10(tmp_path) == folder
    here = find_cifar10()
    assert (here is None) == (parents == "CIFAR10"), "only names of the archive are ours"
    assert here is None or here.resolve() == folder


@pytest.mark.parametrize(
    ("files", "edition"),
    [
        (["cifar-10-batches-bin/data_batch_1.bin"], "the binary edition of CIFAR-10"),
        (["test_batch.bin"], "the binary edition of CIFAR-10"),
        (["cifar-10-binary.tar.gz"], "the binary edition of CIFAR-10"),
        (["cifar-10-batches-mat/batches.meta.mat"], "the MATLAB edition of CIFAR-10"),
        (["data_batch_1.mat"], "the MATLAB edition of CIFAR-10"),
        (["cifar-100-python/train"], "CIFAR-100"),
        (["train", "test", "meta", "file.txt~"], "CIFAR-100"),
        (["train.bin", "test.bin", "fine_label_names.txt"], "CIFAR-100"),
    ],
)
def test_another_edition_is_named(tmp_path, files, edition):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(SourceError, match=rf"holds {edition}, which is not read, got .*https://"):
        find_cifar10(tmp_path)
    fake.write_folder(tmp_path)
    assert find_cifar10(tmp_path) == tmp_path / "cifar-10-batches-py"


@pytest.fixture
def no_cifar10(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("no_cifar10")
def test_auto_takes_cifar10_where_it_is_and_else_makes_images(tmp_path, monkeypatch):
    assert prepare_source(num_samples=3).name == "synthetic"
    tiny = functools.partial(prepare_cifar10, rows_per_batch=ROWS)
    monkeypatch.setattr(known_sources, "prepare_cifar10", tiny)
    folder = fake.write_folder(tmp_path)
    source = prepare_source(num_samples=3)
    assert (source.name, source.num_samples, source.split) == ("cifar10", 3, "train")
    assert prepare_source(data_dir=folder, split="test", num_samples=20).split == "test"


@pytest.mark.usefixtures("no_cifar10")
def test_only_the_source_cifar10_downloads(monkeypatch):
    def download():
        raise SourceError("downloading")

    monkeypatch.setattr(known_sources, "download_cifar10", download)
    prepare_source("auto", num_samples=1)
    with pytest.raises(SourceError, match="downloading"):
        prepare_source("cifar10")
    with pytest.raises(SourceError, match=r"No CIFAR-10 was found.*--data-dir"):
        prepare_cifar10(None, "test")


REFUSED = {
    "source": ({"source": "mnist"}, r"`source` must be one of \('auto', 'cifar10', 'synthetic'\)"),
    "split": ({"split": "val"}, r"`split` must be one of \('train', 'test'\), got 'val'"),
    "data_dir": ({"source": "synthetic", "data_dir": "."}, "`data_dir` must not be given"),
    "none": ({"source": "cifar10", "num_samples": 0}, "`num_samples` must be positive, got 0"),
    "no image": ({"num_samples": 0}, "`num_samples` must be positive, got 0"),
    "seed": ({"seed": -1}, "`seed` must not be negative, got -1"),
}


@pytest.mark.usefixtures("no_cifar10")
@pytest.mark.parametrize("argument", REFUSED)
def test_arguments_out_of_range_are_refused(argument):
    arguments, message = REFUSED[argument]
    with pytest.raises(SourceError, match=message):
        prepare_source(**arguments)
