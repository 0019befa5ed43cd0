"""Imports Keras and its backend, set as the contract asks."""

from __future__ import annotations

from keras_loader_bench.loaders.registry import needs_torch_first


def import_modules(*, backend: str, loader: str) -> None:
    """Import Keras, its backend and what a loader needs before them; no device is touched.

    Args:
        backend: the Keras backend that the process was started for.
        loader: a name of the registry, or `bench.plan.case.CEILING`.

    Raises:
        RuntimeError: Keras runs on another backend.
    """
    if needs_torch_first(loader):
        import torch  # noqa: F401
    import keras

    if keras.backend.backend() != backend:
        raise RuntimeError(
            f"Keras runs on `{keras.backend.backend()}`, but the case needs `{backend}`; does "
            "something set KERAS_BACKEND when Python starts?"
        )
    # Whatever the user's keras.json says: it is part of the contract.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    import keras_loader_bench.bench.child.models  # noqa: F401  # so that it does not count as the model's memory


def import_framework(*, backend: str, loader: str) -> dict[str, str]:
    """Import what `import_modules` does, and find the device.

    Returns:
        See `bench.child.device.describe_backend`.

    Raises:
        RuntimeError: Keras runs on another backend.
    """
    import_modules(backend=backend, loader=loader)
    from keras_loader_bench.bench.child.device import (
        describe_backend,
        hide_accelerators_from_tensorflow,
    )

    description = describe_backend()
    if description["device"] != "cpu":
        hide_accelerators_from_tensorflow()
    return description
