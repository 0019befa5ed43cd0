"""The options of encoded images: a part of the table in `bench.plan.options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from keras_loader_bench.bench.plan.option import Augment, RowOrder, option


@dataclass(frozen=True, kw_only=True)
class OfImages:
    """Options of encoded images; cases of other sources have the defaults."""

    image_size: int = option(
        0,
        since=8,
        flag="--image-size",
        metavar="NUMBERS",
        help="Comma-separated pixels a side that are cut from encoded images (default: 224).",
        noun="image size",
        kind=int,
        least=0,
        in_id="{}px",
        phrase="{0} x {0} pixels",
        changes_batches=True,
    )
    """Of encoded images, see `EncodedSource.image_size`; 0 for images of one size."""

    image_quality: int = option(
        0,
        since=9,
        flag="--image-quality",
        metavar="NUMBERS",
        help="Comma-separated JPEG qualities of synthetic photographs (default: 90).",
        noun="image quality",
        kind=int,
        least=0,
        in_id="q{}",
        phrase="JPEG quality {}",
        changes_batches=True,
    )
    """Of synthetic photographs; 0: that of the source, 90 of photographs."""

    image_order: RowOrder = option(
        "stored",
        since=9,
        flag="--image-order",
        metavar="ORDERS",
        help="Comma-separated: stored, shuffled (default: stored): how rounds read encoded images.",
        noun="image order",
        choices=get_args(RowOrder),
        in_id="{}",
        phrase="{} rows",
        changes_batches=True,
    )
    """Of encoded images: as they are stored, or another order in each round."""

    augment: Augment = option(
        "none",
        since=9,
        flag="--augment",
        metavar="PLACES",
        help="Comma-separated: none, loader, model (default: none): what crops and flips images.",
        noun="place to augment",
        choices=get_args(Augment),
        in_id="augment_{}",
        phrase="augmented in the {}",
        changes_batches=True,
    )
    """What draws a part of each encoded image and flips every second one: the loader, or layers of
    the model."""
