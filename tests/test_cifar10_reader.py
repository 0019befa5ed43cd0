"""CIFAR-10's files give the right images, and bad files give one clear error and nothing else."""

import hashlib
import os
import pickle
import struct

import fake_cifar10 as fake
import numpy as np
import pytest
from fake_cifar10 import ROWS

from keras_loader_bench.loaders.sources import cifar10, cifar10_files
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.cifar10_find import find_cifar10
from keras_loader_bench.loaders.sources.image_source import SourceError
from keras_loader_bench.loaders.sources.known_sources import prepare_source

SPLITS = {"train": fake.BATCHES[:5], "test": fake.BATCHES[5:]}


@pytest.fixture
def folder(tmp_path):
    return fake.write_folder(tmp_path)


def prepare(folder, split="test"):
    return prepare_cifar10(folder, split, rows_per_batch=ROWS)


@pytest.mark.parametrize("split", SPLITS)
def test_pixels_are_turned_from_planes_to_channels_last(folder, split):
    source = prepare(folder, split)
    batches = [fake.pixels_and_labels(name) for name in SPLITS[split]]
    planes = np.concatenate([pixels for pixels, _ in batches])
    assert source.num_samples == len(planes) == ROWS * len(batches)
    assert source.labels.tolist() == [label for _, labels in batches for label in labels]
    for y, x in ((0, 0), (0, 31), (5, 17), (31, 0), (31, 31)):
        for channel in range(3):  # 0 is red, the first of the three planes of 1,024 bytes
            np.testing.assert_array_equal(
                source.images[:, y, x, channel], planes[:, 1024 * channel + 32 * y + x]
            )


def test_a_source_says_what_it_was_made_from(folder):
    source = prepare(folder)
    assert (source.name, source.split, source.edition) == ("cifar10", "test", "unofficial")
    assert source.class_names == fake.CLASS_NAMES
    assert source.inputs == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("test_batch", "batches.meta")
    }


@pytest.mark.parametrize(("changed", "edition"), [(None, "official"), ("data_batch_3",) * 2])
def test_only_published_checksums_make_an_official_edition(folder, monkeypatch, changed, edition):
    for path in folder.iterdir():
        md5 = hashlib.md5(path.read_bytes() if path.name != changed else b"").hexdigest()
        monkeypatch.setitem(cifar10_files.PUBLISHED_MD5, path.name, md5)
    assert prepare(folder, "train").edition == ("unofficial" if changed else "official")


def test_a_second_call_converts_nothing(folder, monkeypatch):
    first = prepare(folder)
    monkeypatch.setattr(cifar10, "parse_batch", None)
    assert prepare(folder) == first


def test_changed_inputs_give_another_source(folder):
    first = prepare(folder)
    labels = fake.label_list([9] * ROWS)
    (folder / "test_batch").write_bytes(fake.batch(labels=labels))
    second = prepare(folder)
    assert second.folder != first.folder
    assert set(second.labels) == {9}
    first.verify()


@pytest.mark.parametrize("file", ["images.npy", "labels.npy"])
def test_a_cache_whose_bytes_have_changed_is_made_again(folder, file):
    path = prepare(folder).folder / file
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    prepare(folder).verify()
    assert path.read_bytes() == content


def test_inputs_that_change_while_they_are_read_are_noticed(folder, monkeypatch):
    def change(path):
        (folder / "test_batch").write_bytes(fake.batch(labels=fake.label_list([9] * ROWS)))
        return False

    monkeypatch.setattr(cifar10, "has_published_md5", change)
    with pytest.raises(SourceError, match=r"test_batch.*changed"):
        prepare(folder)
    assert list(cache_folder().iterdir()) == []


PIXELS, LABELS = fake.pixels_and_labels("test_batch")
DATA = PIXELS.tobytes()
SHAPE = (ROWS, 3072)


def calls(name, argument):
    """A value that calls a function when it is unpickled."""
    return b"c" + name.replace(b".", b"\n") + b"\n" + fake.short(argument) + b"\x85R"


BAD_BATCHES = {
    "empty": (b"", "truncated or damaged"),
    "half": (fake.batch()[:30_000], "truncated or damaged"),
    "without its last byte": (fake.batch()[:-1], "truncated or damaged"),
    "an image": (b"\xff\xd8\xff\xe0JFIF" * 100, "truncated or damaged"),
    "text": (b"<html>404</html>", "truncated|opcode"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(100), "truncated|opcode"),
    "Python 3's pickle": (pickle.dumps({b"data": PIXELS, b"labels": LABELS}), "opcode"),
    "not a dictionary": (b"\x80\x02]q\x01.", "`data` is missing"),
    "no data": (fake.dictionary(labels=fake.label_list(LABELS)), "`data` is missing"),
    "no labels": (fake.dictionary(data=fake.array(DATA, SHAPE)), "`labels` is missing"),
    "data is text": (fake.batch(data=fake.short(b"x")), "not a numpy array"),
    "data is a dtype": (fake.batch(data=b"cnumpy\ndtype\nU\x02u1\x85R"), "not a numpy array"),
    "data without state": (
        fake.batch(data=b"cnumpy.core.multiarray\n_reconstruct\nK\x00\x85R"),
        "not a numpy array",
    ),
    "int8": (fake.batch(data=fake.array(DATA, SHAPE, dtype=b"i1")), "dtype uint8"),
    "objects": (fake.batch(data=fake.array(DATA, SHAPE, dtype=b"O8")), "dtype uint8"),
    "a shape of other images": (fake.batch(data=fake.array(DATA, (ROWS * 3, 1024))), "shape"),
    "columns first": (fake.batch(data=fake.array(DATA, SHAPE, fortran=b"K\x01")), "shape"),
    "one row less": (fake.batch(data=fake.array(DATA[3072:], (ROWS - 1, 3072))), "shape"),
    "less data than its shape": (fake.batch(data=fake.array(DATA[1:], SHAPE)), "61440 bytes"),
    "label 10": (fake.batch(labels=fake.label_list([*LABELS[1:], 10])), "0 to 9"),
    "label -1": (fake.batch(labels=fake.label_list([*LABELS[1:], -1])), "0 to 9"),
    "label None": (fake.batch(labels=b"](" + b"N" * ROWS + b"e"), "0 to 9"),
    "label False": (fake.batch(labels=b"](" + b"\x89" * ROWS + b"e"), "0 to 9"),
    "a label less": (fake.batch(labels=fake.label_list(LABELS[1:])), "list of 20 labels"),
    "labels are text": (fake.batch(labels=fake.short(bytes(ROWS))), "list of 20 labels"),
    "eval": (fake.batch(data=calls(b"__builtin__.eval", b"1")), "`__builtin__.eval`"),
    "another name of numpy's": (
        fake.batch(data=calls(b"numpy.fromfile", b"/etc/passwd")),
        "`numpy.fromfile`",
    ),
    "a name in a name": (fake.batch(data=b"cnumpy\ndtype.__init__\n"), r"`numpy.dtype.__init__`"),
    "a huge memo": (b"\x80\x02}r\xff\xff\xff\x7f.", "memo index 2147483647"),
    "a huge string": (b"\x80\x02T\xff\xff\xff\x7fabc.", "truncated or damaged"),
    "a huge array": (
        fake.batch(data=b"cnumpy\nndarray\nJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86\x85R"),
        "not a numpy array",
    ),
    "what is shared": (b"\x80\x02)q\x01h\x01h\x01\x86.", "opcode"),
    "nested tuples": (b"\x80\x02}N" + b"\x85" * 200 + b"Ns.", "more opcodes"),
    "too much": (b"\x80\x02](" + b"N" * 200_000 + b"e.", "more opcodes"),
    "a persistent id": (b"\x80\x02U\x01aQ.", "opcode BINPERSID"),
    "a class changed": (fake.batch(data=b"cnumpy\ndtype\n}U\x01aK\x01sb"), "damaged"),
}


@pytest.mark.parametrize("bad", BAD_BATCHES)
def test_a_bad_batch_is_one_clear_error(folder, bad):
    content, message = BAD_BATCHES[bad]
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(SourceError, match=f"{folder}/test_batch` .*({message}).*https://"):
        prepare(folder)
    assert not cache_folder().exists() or list(cache_folder().iterdir()) == []


def test_a_bad_last_batch_leaves_nothing_of_the_others(folder):
    (folder / "data_batch_5").write_bytes(fake.batch()[:30_000])
    with pytest.raises(SourceError, match="data_batch_5"):
        prepare(folder, "train")
    assert list(cache_folder().iterdir()) == []


@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
@pytest.mark.parametrize("how", ["GLOBAL", "INST", "STACK_GLOBAL", "OBJ"])
def test_a_pickle_that_calls_the_system_is_refused_and_does_not_run(folder, tmp_path, file, how):
    marker = tmp_path / "it-ran"
    command = f"touch {marker}".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    call = {
        "GLOBAL": b"cos\nsystem\n" + fake.short(command) + b"\x85R",
        "INST": b"(" + fake.short(command) + b"ios\nsystem\n",
        "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93" + text + b"\x85R",
        "OBJ": b"(cos\nsystem\n" + fake.short(command) + b"o",
    }[how]
    bad = fake.dictionary(data=call)
    pickle.loads(bad)  # it is a working attack
    assert marker.exists()
    marker.unlink()
    (folder / file).write_bytes(bad)
    with pytest.raises(SourceError, match=rf"{file}` .*(`os\.system`|opcode)"):
        prepare(folder)
    assert not marker.exists()
    assert not cache_folder().exists() or list(cache_folder().iterdir()) == []


BAD_METAS = {
    "nine names": (fake.meta(fake.CLASS_NAMES[1:]), "list of 10 names"),
    "no names": (fake.dictionary(num_vis=b"K\x00"), "`label_names` is missing"),
    "numbers": (fake.dictionary(label_names=fake.label_list([1] * 10)), "ASCII"),
    "an empty name": (fake.meta(("", *fake.CLASS_NAMES[1:])), "ASCII"),
    "not ASCII": (fake.meta(("é", *fake.CLASS_NAMES[1:])), "ASCII"),
    "a line feed": (fake.meta(("a\n", *fake.CLASS_NAMES[1:])), "printed"),
}


@pytest.mark.parametrize("bad", BAD_METAS)
def test_bad_class_names_are_one_clear_error(folder, bad):
    content, message = BAD_METAS[bad]
    (folder / "batches.meta").write_bytes(content)
    with pytest.raises(SourceError, match=rf"batches\.meta` .*{message}"):
        prepare(folder)


@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(SourceError, match=f"{file}` is missing.*https://"):
        prepare(folder)


def test_a_file_that_is_too_large_is_not_read(folder):
    with (folder / "test_batch").open("r+b") as file:
        file.truncate(10 * 2**30)  # takes no space
    with pytest.raises(SourceError, match=r"test_batch` .*larger than 32 MiB"):
        prepare(folder)


def test_what_is_no_regular_file_is_not_read(folder):
    (folder / "test_batch").unlink()
    os.mkfifo(folder / "test_batch")
    with pytest.raises(SourceError, match=r"test_batch` .*not a regular file"):
        prepare(folder)


def test_official_batches_have_10000_rows(folder):
    with pytest.raises(SourceError, match=r"shape \(10000, 3072\)"):
        prepare_cifar10(folder, "test")


@pytest.mark.parametrize("split", SPLITS)
def test_the_real_photographs_are_read(split):
    if "CIFAR10_DIR" not in os.environ:
        pytest.skip("CIFAR10_DIR is not set: no real CIFAR-10 to read")
    folder = find_cifar10(os.environ["CIFAR10_DIR"])
    source = prepare_source("cifar10", data_dir=folder, split=split)
    batches = SPLITS[split]
    assert source.num_samples == 10_000 * len(batches)
    assert np.bincount(source.labels).tolist() == [1000 * len(batches)] * 10
    assert source.class_names == fake.CLASS_NAMES
    # The pixels of a batch are its only string of 30,720,000 bytes (opcode T, length, bytes).
    content = (folder / batches[-1]).read_bytes()
    start = content.index(b"T" + struct.pack("<I", 30_720_000)) + 5
    for row in (0, 9_999):
        planes = content[start + row * 3072 : start + (row + 1) * 3072]
        image = source.images[len(source.images) - 10_000 + row]
        assert image[:, :, 0].tobytes() == planes[:1024]
        assert image[:, :, 2].tobytes() == planes[2048:]
