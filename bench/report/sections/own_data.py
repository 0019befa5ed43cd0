"""Finds the lines that a recommended loader takes for data of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_loader_bench.bench.plan.case import loaders_of
from keras_loader_bench.bench.report.recommend import Recommendation


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """A loader that is recommended, and what to write for other data."""

    loader: str
    what: str
    code: str
    images: bool
    """Whether it reads a folder of images, `photos`, and not arrays."""


def own_data(found: Sequence[Recommendation]) -> list[OwnData]:
    """Return what to write, for the first row of each loader; those without lines are left out."""
    recipes: dict[str, OwnData] = {}
    for each in found:
        row = each.row
        entry = loaders_of(row.image_size).get(row.loader) if row else None
        if row is None or entry is None or entry.recipe is None or row.loader in recipes:
            continue
        code = entry.recipe.written(
            batch_size=row.batch_size, num_workers=row.num_workers, image_size=row.image_size
        )
        recipes[row.loader] = OwnData(
            loader=row.loader, what=entry.recipe.what, code=code, images=bool(row.image_size)
        )
    return list(recipes.values())
