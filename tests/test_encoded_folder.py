"""A folder of class folders is read as Keras reads it, or refused with the files named."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from encoded_files import READ, REFUSED, RGB, jpeg, save

from keras_loader_bench.loaders.encoded import image_folder
from keras_loader_bench.loaders.encoded.decoding import NoDecoderError, decode
from keras_loader_bench.loaders.encoded.known_images import prepare_images
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")


@pytest.fixture
def root(tmp_path):
    """Two classes with three images each, one of them in a folder below."""
    root = tmp_path / "images"
    for label, name in enumerate(["ant", "bee"]):
        (root / name / "more").mkdir(parents=True)
        for number, place in enumerate(["1.jpg", "2.JPEG", "more/3.png"]):
            file = save(RGB + np.uint8(10 * label + number), "JPEG" if number < 2 else "PNG")
            (root / name / place).write_bytes(file)
    return root


def prepare(root, **options):
    return prepare_images(f"folder:{root}", **{"image_size": 64, **options})


def test_every_file_is_there_with_the_label_that_keras_gives_it(root):
    (root / "ape").mkdir()  # an empty class is counted
    (root / "ant" / "notes.txt").write_text("ignored")
    (root / ".hidden").mkdir()
    keras = pytest.importorskip("keras")
    theirs = keras.utils.image_dataset_from_directory(root, shuffle=False, verbose=False)
    ours = prepare(root)
    assert list(ours.class_names) == theirs.class_names == ["ant", "ape", "bee"]
    labels = np.concatenate([np.asarray(labels) for _, labels in theirs]).tolist()
    files = [Path(path).read_bytes() for path in theirs.file_paths]
    found = [(bytes(ours.encoded(row)), int(ours.labels[row])) for row in range(ours.num_samples)]
    assert sorted(found) == sorted(zip(files, labels, strict=True))


def test_the_order_is_drawn_from_the_seed(root):
    for number in range(30):
        (root / "ant" / f"{number:02}.jpg").write_bytes(jpeg(RGB + np.uint8(number)))
    orders = [
        [bytes(s.encoded(row)) for row in range(36)] for s in (prepare(root), prepare(root, seed=1))
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(prepare(root, seed=2).labels[:20].tolist())) == 2  # a head has all classes


@pytest.mark.parametrize("kind", READ)
def test_a_file_is_read_by_what_it_holds(root, kind):
    for path in root.rglob("*.*"):
        path.unlink()
    (root / "bee" / "image.jpg").write_bytes(READ[kind])
    images, labels = prepare(root).read(np.array([0]))
    np.testing.assert_array_equal(images[0], decode(READ[kind], 64))
    assert labels.tolist() == [1]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_used_is_named(root, kind):
    file, message = REFUSED[kind]
    (root / "bee" / "more" / "bad.jpg").write_bytes(file)
    with pytest.raises(
        SourceError, match=rf"1 file in `.*images` [\s\S]*`bee/more/bad.jpg` .*{message}"
    ):
        prepare(root)
    assert list(cache_folder().iterdir()) == []


def test_all_bad_files_are_named_at_once(root):
    for number in range(13):
        (root / "ant" / f"bad_{number:02}.jpg").write_bytes(b"" if number % 2 else b"text")
    with pytest.raises(SourceError) as caught:
        prepare(root)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("13 files in ")
    assert [line.split("`")[1] for line in lines[1:11]] == [
        f"ant/bad_{n:02}.jpg" for n in range(10)
    ]
    assert lines[11:] == ["  and 3 more"]


@pytest.mark.parametrize("first", [64, 81])
def test_images_smaller_than_the_crop_are_named(root, first):
    """Whether the folder is in the cache already or not."""
    (root / "ant" / "large.jpg").write_bytes(jpeg(np.tile(RGB, (2, 2, 1))))
    with pytest.raises(SourceError) if first > 80 else np.errstate():
        prepare(root, image_size=first)
    with pytest.raises(SourceError, match=r"6 files[\s\S]*`ant/1.jpg` has 96 x 80 pixels, .* 81"):
        prepare(root, image_size=81)


def test_a_second_call_decodes_nothing_and_a_changed_file_is_seen(root, monkeypatch):
    first = prepare(root)
    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "decode_whole", None)
        assert prepare(root) == first
    path = root / "ant" / "1.jpg"
    os.utime(path, ns=(0, 0))
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    assert prepare(root).folder != first.folder


def test_a_class_that_comes_or_goes_without_images_is_seen(root):
    first = prepare(root)
    (root / "zebra").mkdir()  # no file, label or time has changed
    assert prepare(root).class_names == ("ant", "bee", "zebra")
    (root / "zebra").rmdir()
    assert prepare(root) == first


def test_one_folder_has_one_copy_whatever_it_is_called(root):
    assert prepare(root / "ant" / "..").folder == prepare(root).folder


def test_without_the_decoder_no_file_is_blamed(root, monkeypatch):
    def gone(encoded):
        raise NoDecoderError("`simplejpeg` is not installed")

    monkeypatch.setattr(image_folder, "decode_whole", gone)
    with pytest.raises(SourceError, match=r"^`simplejpeg` is not installed$"):
        prepare(root)


def test_a_folder_that_cannot_be_read_is_refused(root, monkeypatch):
    """Also for a user who may read everything, as a test may be."""

    def walk(path, onerror):
        onerror(PermissionError(13, "Permission denied", path))
        return iter(())

    monkeypatch.setattr(image_folder.os, "walk", walk)
    with pytest.raises(SourceError, match=r"folder `.*ant` cannot be read: Permission denied"):
        prepare(root)


def test_links_are_followed_as_keras_follows_them(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "4.jpg").write_bytes(jpeg())
    (root / "cat").symlink_to(elsewhere)
    (root / "ant" / "link.jpg").symlink_to(elsewhere / "4.jpg")
    (root / "ant" / "below").symlink_to(elsewhere)  # not followed
    source = prepare(root)
    assert (source.num_samples, source.class_names) == (8, ("ant", "bee", "cat"))
    (elsewhere / "4.jpg").unlink()
    with pytest.raises(SourceError, match=r"`ant/link.jpg` is no file .*mend the link"):
        prepare(root)


def test_a_pipe_is_not_waited_for(root):
    os.mkfifo(root / "ant" / "pipe.jpg")
    with pytest.raises(SourceError, match=r"`ant/pipe.jpg` is no file"):
        prepare(root)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode there")
def test_names_that_are_no_utf_8(root):
    def named(raw):
        return root / os.fsdecode(raw)

    named(b"ant/\xff.jpg").write_bytes(jpeg())
    assert prepare(root).num_samples == 7
    named(b"ant/\xfe.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"`ant/\\xfe.jpg` has 0 bytes"):
        prepare(root)
    named(b"\xff").mkdir()
    with pytest.raises(SourceError, match=r"class folder `\\xff` .*Rename it"):
        prepare(root)


def test_folders_without_classes_or_images_are_refused(root, tmp_path):
    (tmp_path / "empty" / "a").mkdir(parents=True)
    for path, message in [
        (root / "ant" / "more", "has no class folders"),
        (tmp_path / "nowhere", "No such file.*Name a folder of class folders"),
        (root / "ant" / "1.jpg", "Not a directory"),
        (tmp_path / "empty", r"has an image: .*\.bmp, \.gif, \.jpeg, \.jpg, \.png"),
    ]:
        with pytest.raises(SourceError, match=message):
            prepare(path)


def test_splits_are_not_taken_for_classes(root, tmp_path):
    (tmp_path / "data" / "val").mkdir(parents=True)
    root.rename(tmp_path / "data" / "train")
    with pytest.raises(
        SourceError, match=r"splits, not classes: train, val.*`folder:.*data/train`"
    ):
        prepare(tmp_path / "data")
    assert prepare(tmp_path / "data" / "train").num_samples == 6


def test_what_is_asked_for_must_be_possible(root):
    for options, message in [
        ({"num_samples": 7}, "between 1 and 6"),
        ({"image_size": 0}, "`image_size` must be positive"),
        ({"split": "val"}, "`split` must be one of"),
        ({"seed": -1}, "`seed` must not be negative"),
    ]:
        with pytest.raises(SourceError, match=message):
            prepare(root, **options)
    with pytest.raises(SourceError, match=r"must be `photographs`, .*`folder:PATH`, got 'images'"):
        prepare_images("images")
