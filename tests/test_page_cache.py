"""Cold pages: dropped for a round and seen to be gone; advised for a batch and seen to come."""

import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import fake_source
import numpy as np
import pytest
import suite

from keras_loader_bench.bench.child.cold_pages import (
    drop_pages,
    files_of,
    prepare_pages,
)
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.loaders.contract import make_batch
from keras_loader_bench.loaders.sequence.buffered_batches import BufferedBatches
from keras_loader_bench.loaders.sequence.buffers import BufferPool
from keras_loader_bench.loaders.sources import page_cache
from keras_loader_bench.loaders.sources.page_cache import ReadAdvice, resident_fraction
from keras_loader_bench.loaders.system.control_groups import own_groups

SAMPLES = 6_000

MIB = 2**20


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A source of 17.6 MiB on disk."""
    folder = tmp_path_factory.mktemp("cold") / "noise"
    source = fake_source.write(
        folder, fake_source.chunks(SAMPLES, size=SAMPLES), num_samples=SAMPLES
    )
    try:
        drop_pages(files_of(source))
    except (NotImplementedError, RuntimeError) as error:  # a file system in memory
        pytest.skip(f"pages cannot be dropped here: {error}")
    return source


@pytest.fixture
def cold(stored):
    """The same with none of its pages in memory, and a map of its own."""
    source = replace(stored)
    drop_pages(files_of(source))
    return source


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(page_cache, "has_room_for", lambda num_bytes: False)


def soon(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


def in_memory(source, rows):
    address, _ = source.images.__array_interface__["data"]
    return all(
        page_cache.resident_pages(address + row * 3072, 3072).all()
        for row in np.asarray(rows).tolist()
    )


def test_dropped_pages_are_gone_and_their_contents_come_back(stored):
    before = np.array(stored.images)
    assert resident_fraction(stored.images) == 1
    drop_pages(files_of(stored))
    assert resident_fraction(stored.images) < 0.01
    assert np.array_equal(stored.images, before)


def test_a_warm_case_leaves_pages_where_they_are(cold):
    assert prepare_pages(files_of(cold), "warm") < 0.01
    for path in files_of(cold):
        path.read_bytes()
    assert prepare_pages(files_of(cold), "warm") == 1
    assert prepare_pages(files_of(cold), "cold") < 0.01


def test_pages_that_another_process_maps_cannot_be_dropped(stored):
    code = (
        "import sys, numpy as np\n"
        "images = np.load(sys.argv[1], mmap_mode='r')\n"
        "print(images.sum(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = stored.folder / "images.npy"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(RuntimeError, match=r"100% of the pages of .* must be 1% at most"):
            drop_pages(files_of(stored))
        other.communicate(b"")


def test_advised_rows_come_into_memory_and_others_do_not(cold, no_room):
    advice = ReadAdvice(cold.images)
    rows = np.array([5_000, 17, 2_900, 4_000, 300], dtype=np.int32)
    advice.begin(rows, 3)
    assert advice.cold
    assert soon(lambda: in_memory(cold, rows[:3]))
    assert not in_memory(cold, rows[3:4])
    advice.read_next(rows[3:])
    assert soon(lambda: in_memory(cold, rows))
    assert resident_fraction(cold.images) < 0.01


def test_what_there_is_room_for_is_read_whole(cold, monkeypatch):
    monkeypatch.setattr(page_cache, "has_room_for", lambda num_bytes: True)
    advice = ReadAdvice(cold.images)
    advice.begin(np.random.default_rng(0).permutation(SAMPLES), 64)
    # Advice is not an order: short of memory, the kernel skips or takes back some of the pages.
    assert soon(lambda: resident_fraction(cold.images) > 0.9), resident_fraction(cold.images)


def test_too_large_a_source_is_never_wanted_whole(cold, no_room):
    advice = ReadAdvice(cold.images)
    advice.begin(np.arange(SAMPLES), 8)
    time.sleep(0.05)
    assert resident_fraction(cold.images) < 0.01


def test_advice_ends_when_rows_are_in_memory_and_begins_with_a_pass_whose_are_not(stored, no_room):
    np.array(stored.images)
    advice = ReadAdvice(stored.images)
    rows = np.random.default_rng(0).permutation(SAMPLES)
    advice.begin(rows, 64)
    assert not advice.cold
    drop_pages(files_of(stored))
    advice.begin(rows, 64)
    assert advice.cold
    np.array(stored.images)
    for batch in range(8):
        assert advice.cold, batch
        advice.read_next(rows[64 * batch : 64 * batch + 64])
    assert not advice.cold


@pytest.mark.parametrize("room", [True, False])
def test_batches_of_a_cold_source_are_the_same(cold, monkeypatch, room):
    monkeypatch.setattr(page_cache, "has_room_for", lambda num_bytes: room)
    rows = np.random.default_rng(1).permutation(SAMPLES)[:1_000].astype(np.int32)
    batches = BufferedBatches(
        cold, rows, batch_size=64, pixels="float32", buffers=BufferPool(9), most_ahead=0, readers=1
    )
    for index in range(len(batches)):
        x, y = batches[index]
        following = rows[64 * index + 64 : 64 * index + 128]
        assert soon(lambda wanted=following: in_memory(cold, wanted)), "one batch ahead"
        expected_x, expected_y = make_batch(cold, rows[64 * index : 64 * index + 64], "float32")
        assert np.array_equal(x, expected_x)
        assert np.array_equal(y, expected_y)


def test_a_control_group_limits_what_there_is_room_for(tmp_path, monkeypatch):
    """Its own one and those above it; cached files are no reason to read less."""
    group = tmp_path / "slice" / "container"
    group.mkdir(parents=True)
    (tmp_path / "own").write_text("0::/slice/container\n")
    here = partial(own_groups, cgroups=tmp_path, own=tmp_path / "own")
    monkeypatch.setattr(page_cache, "own_groups", here)
    for folder, most in ((group, f"{64 * MIB}"), (tmp_path / "slice", "max")):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{34 * MIB}\n")
        stat = f"anon {24 * MIB}\nactive_file {4 * MIB}\ninactive_file {6 * MIB}\n"
        (folder / "memory.stat").write_text(stat)
    assert page_cache.has_room_for(20 * MIB)
    assert not page_cache.has_room_for(20 * MIB + 1)
    (group / "memory.max").write_text("max\n")
    assert page_cache.has_room_for(20 * MIB + 1)
    (tmp_path / "slice" / "memory.max").write_text(f"{64 * MIB}\n")
    assert not page_cache.has_room_for(20 * MIB + 1)


@pytest.mark.parametrize("loader", ["sequence", "tuned_tf_data"])
def test_a_source_without_room_is_asked_for_batch_by_batch(cold, no_room, monkeypatch, loader):
    pytest.importorskip("tensorflow")
    from keras_loader_bench.loaders import LoaderOptions, make_loader
    from keras_loader_bench.loaders.bridges import mapped_tensors

    monkeypatch.setattr(mapped_tensors, "has_room_for", lambda num_bytes: False)
    asked = []
    begin, read_next = ReadAdvice.begin, ReadAdvice.read_next
    monkeypatch.setattr(
        ReadAdvice,
        "begin",
        lambda self, rows, size: (asked.append((*rows[:size],)), begin(self, rows, size))[1],
    )
    monkeypatch.setattr(
        ReadAdvice,
        "read_next",
        lambda self, rows: (asked.append((*rows,)), read_next(self, rows))[1],
    )
    rows = np.random.default_rng(2).permutation(SAMPLES)[:300].astype(np.int32)
    with make_loader(loader, cold, LoaderOptions(batch_size=64)) as made:
        batches = list(made.fit_args(rows)["x"])
    assert [row for batch in dict.fromkeys(asked) for row in batch] == rows.tolist()
    x, _ = make_batch(cold, rows, "float32")
    assert np.array_equal(np.concatenate([np.asarray(batch[0]) for batch in batches]), x)


def test_workers_that_map_the_pages_make_no_cold_case():
    options = {
        "backend": ["jax"],
        "batch_size": [64],
        "pixels": ["float32"],
        "samples": [512],
        "page_cache": ["warm", "cold"],
    }
    cases = cases_of("feed", options | {"loader": ["torch", "sequence"], "num_workers": [0, 2]})
    refused = [str(case) for case in cases if case.unsupported]
    assert refused == ["feed-jax-torch-w2-b64-float32-cold-n512"]
    memory = cases_of("memory", options | {"loader": ["sequence"]})
    assert [case.page_cache for case in memory] == ["warm"]
    images = options | {"loader": ["torch_pillow"], "num_workers": [2], "image_size": [64]}
    assert [case.unsupported for case in cases_of("feed", images)] == [None, None]
    with pytest.raises(ValueError, match="Unknown page cache `tepid`; choose from warm, cold"):
        cases_of("feed", options | {"loader": ["torch"], "page_cache": ["tepid"]})


@pytest.mark.long
def test_cold_rounds_stand_in_rows_of_their_own(stored, tmp_path):
    done = suite.run(
        *("--loaders", "sequence", "--page-cache", "warm,cold", "-k", "feed"),
        results=tmp_path / "run",
    )
    assert done.exit_status == 0, done.output
    resident = {
        case.case.page_cache: [measured.resident_before for measured in case.rounds]
        for case in done.run.cases
    }
    assert max(resident["cold"]) <= 0.01
    assert min(resident["warm"]) == 1
    report = (done.folder / "report.md").read_text()
    assert "| page cache |" in report
    assert "| cold | `sequence` |" in report
