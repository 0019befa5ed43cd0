"""Ranks share an order out: no row on two of them, none left out but what fills no step."""

import numpy as np
import pytest

from keras_loader_bench.loaders.order import sample_order
from keras_loader_bench.loaders.shards import shard_rows

every_size = pytest.mark.parametrize("count", [2, 3, 63, 64, 127, 128, 129, 500, 50_000])
every_split = pytest.mark.parametrize(("ranks", "batch_size"), [(1, 64), (2, 64), (2, 100), (3, 7)])


def shares(count, ranks, batch_size, last_batch="short", epoch=0):
    rows = sample_order(count, seed=0, epoch=epoch)
    return rows, [shard_rows(rows, (rank, ranks), batch_size, last_batch) for rank in range(ranks)]


def batches(rows, batch_size):
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


@every_size
@every_split
def test_short_leaves_out_fewer_rows_than_there_are_ranks(count, ranks, batch_size):
    if count < ranks:
        pytest.skip("no row for each rank")
    rows, found = shares(count, ranks, batch_size)
    together = np.concatenate(found)
    assert len(set(together)) == len(together) == count - count % ranks
    assert {share.dtype for share in found} == {rows.dtype}


@every_size
@every_split
@pytest.mark.parametrize("last_batch", ["short", "drop", "pad"])
def test_all_ranks_take_as_many_steps_of_the_same_sizes(count, ranks, batch_size, last_batch):
    least = {"short": ranks, "drop": ranks * batch_size, "pad": 1}[last_batch]
    if count < least:
        pytest.skip("too few rows")
    _, found = shares(count, ranks, batch_size, last_batch)
    assert len({len(share) for share in found}) == 1
    if last_batch != "short":
        assert len(found[0]) % batch_size == 0


@every_split
def test_a_step_of_all_ranks_is_a_batch_of_one_process(ranks, batch_size):
    """So that training on several ranks is training with the global batch size."""
    rows, found = shares(50_000, ranks, batch_size)
    steps = zip(*(batches(share, batch_size) for share in found), strict=True)
    alone = batches(rows[: len(rows) - len(rows) % ranks], ranks * batch_size)
    for step, batch in zip(steps, alone, strict=True):
        assert np.array_equal(np.concatenate(step), batch)


def test_padding_takes_rows_from_the_beginning():
    rows = np.arange(10)
    first, second = (shard_rows(rows, (rank, 2), 4, "pad") for rank in range(2))
    assert first.tolist() == [0, 1, 2, 3, 8, 9, 0, 1]
    assert second.tolist() == [4, 5, 6, 7, 2, 3, 4, 5]
    few = shard_rows(np.arange(3), (1, 2), 4, "pad")  # fewer than are added
    assert few.tolist() == [1, 2, 0, 1]


def test_dropping_leaves_out_what_fills_no_step():
    first, second = (shard_rows(np.arange(15), (rank, 2), 4, "drop") for rank in range(2))
    assert (first.tolist(), second.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7])


def test_another_epoch_deals_other_rows_to_a_rank():
    one, other = (shares(50_000, 2, 64, epoch=epoch)[1][0] for epoch in (0, 1))
    assert 0.4 < np.isin(one, other).mean() < 0.6


def test_shares_are_copies():
    rows = np.arange(64)
    shard_rows(rows, (0, 1), 64)[:] = 0
    assert rows[-1] == 63


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0.5, 2), "02", 1, (0, 1, 2), None])
def test_a_shard_that_is_none_is_refused(shard):
    with pytest.raises(ValueError, match=r"`shard` must be `\(rank, ranks\)`, two integers with"):
        shard_rows(np.arange(9), shard, 4)


@pytest.mark.parametrize(
    ("count", "last_batch", "message"),
    [
        (1, "short", 'last_batch="short"`, which take at least 2; use fewer ranks'),
        (127, "drop", "which take at least 128"),
        (9, "repeat", "`last_batch` must be one of"),
    ],
)
def test_too_few_rows_and_unknown_rules_are_refused(count, last_batch, message):
    with pytest.raises(ValueError, match=message):
        shard_rows(np.arange(count), (0, 2), 64, last_batch)


@pytest.mark.parametrize(
    ("ranks", "per_machine", "of_file", "per_byte"),
    [(8, 8, 1.0, 1.0), (8, 1, 0.27, 2.1), (64, 8, 0.27, 2.1), (64, 1, 0.036, 2.3)],
)
def test_a_machine_reads_the_pages_that_its_rows_touch(ranks, per_machine, of_file, per_byte):
    """As `results/README.md` says: rows of 3,072 bytes that begin after the header of a file."""
    count, size, page = 400_000, 3072, 4096
    order = sample_order(count, seed=0, epoch=0)
    mine = np.concatenate([shard_rows(order, (r, ranks), 64) for r in range(per_machine)])
    start = mine.astype(np.int64) * size + 128
    pages = len(np.union1d(start // page, (start + size - 1) // page))
    assert pages * page / (count * size) == pytest.approx(of_file, abs=0.005)
    assert pages * page / (len(mine) * size) == pytest.approx(per_byte, abs=0.05)
