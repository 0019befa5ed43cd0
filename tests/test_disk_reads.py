"""What rounds read from storage: of files that are not in memory all, of others nothing."""

import subprocess
import sys
from dataclasses import asdict

import keras
import numpy as np
import pytest
from encoded_files import RGB, jpeg, write

from keras_loader_bench.bench.child.cold_pages import drop_pages, files_of, resident_share
from keras_loader_bench.bench.child.disk_reads import disk_bytes_read
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders.sources.cache import cache_folder

IMAGES = 64

if disk_bytes_read() is None:
    pytest.skip("this system does not say what was read", allow_module_level=True)


@pytest.fixture
def source():
    pytest.importorskip("simplejpeg")
    random = np.random.default_rng(0)
    files = [
        (jpeg(RGB + random.integers(0, 2, RGB.shape, np.uint8)), row % 3) for row in range(IMAGES)
    ]
    return write(cache_folder() / "images", files)


def drop(files):
    try:
        drop_pages(files)
    except (NotImplementedError, RuntimeError) as error:  # a file system in memory
        pytest.skip(f"pages cannot be dropped here: {error}")


@pytest.mark.parametrize("container", [None, "folder", "tar"])
def test_all_files_that_a_loader_reads_are_dropped(source, container):
    files = files_of(source, container)
    assert source.folder / "encoded.bin" in files
    assert len(files) > IMAGES if container == "folder" else len(files) < IMAGES
    before = [path.read_bytes() for path in files]
    assert resident_share(files) == 1
    drop(files)
    assert resident_share(files) <= 0.01
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("by", ["this process", "a descendant"])
def test_what_is_in_memory_is_not_read_again(tmp_path, by):
    path = tmp_path / "data"
    path.write_bytes(np.random.default_rng(1).bytes(2**21))
    drop([path])
    code = f"print(len(open({str(path)!r}, 'rb').read()))"

    def read():
        before = disk_bytes_read()
        if by == "this process":
            path.read_bytes()
        else:
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return disk_bytes_read() - before

    assert read() >= 2**21
    assert read() < 2**20


@pytest.mark.parametrize("loader", ["image_sequence", "decoded_numpy", "stock_image_sequence"])
def test_a_cold_round_reads_the_images_and_a_warm_one_does_not(source, loader):
    drop(files_of(source))
    size = {"samples": IMAGES, "epochs": 1}
    read = {}
    for state in ("warm", "cold"):
        case = Case(
            bench="feed",
            backend=keras.backend.backend(),
            loader=loader,
            batch_size=16,
            pixels="float32",
            image_size=64,
            samples=IMAGES,
            page_cache=state,
        )
        worker = Worker(source=str(source.folder), samples=IMAGES, case=asdict(case), seed=0)
        for step in ("import_framework", "make_model", "make_ceiling", "make_loader"):
            getattr(worker, step)()
        worker.warm_up(samples=IMAGES)
        worker.prepare_round(loader="loader", epoch=1, **size)
        read[state] = worker.round()
    assert read["warm"]["read_bytes"] == 0
    assert read["cold"]["resident_before"] <= 0.01
    encoded = sum(map(len, map(source.encoded, range(IMAGES))))
    if loader == "decoded_numpy":  # it has decoded them when it was made
        assert read["cold"]["read_bytes"] < encoded
    else:
        assert read["cold"]["read_bytes"] >= encoded
