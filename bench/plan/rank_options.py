"""The options of several ranks: a part of the table in `bench.plan.options`."""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.bench.plan.option import option


@dataclass(frozen=True, kw_only=True)
class OfRanks:
    """Options of processes that train together; a case of one process has the defaults."""

    ranks: int = option(
        1,
        since=9,
        flag="--ranks",
        metavar="NUMBERS",
        help="Comma-separated numbers of processes that train together (default: 1).",
        noun="number of ranks",
        kind=int,
        least=1,
        in_id="r{}",
        phrase="{} ranks",
        changes_batches=True,
    )
    """Processes, each with its share of every global batch; see `loaders.shards`."""
