"""What the loader of a case is asked for."""

from __future__ import annotations

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders.contract import LoaderOptions
from keras_loader_bench.loaders.encoded.contract import ImageOptions


def loader_options(case: Case, *, seed: int) -> LoaderOptions:
    """Return the options of a case's loader, or of its ceiling.

    Args:
        case: the case.
        seed: of what a loader of encoded images draws.
    """
    assert case.pixels != "own", "the loader of a user's input takes no options"
    options = {"batch_size": case.batch_size, "num_workers": case.num_workers}
    if not case.image_size:
        return LoaderOptions(pixels=case.pixels, **options)
    augment_seed = seed if case.augment == "loader" else None
    return ImageOptions(pixels=case.pixels, augment_seed=augment_seed, **options)
