"""The JAX backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import keras

FETCHES_BEFORE_STEP = False
"""Batches come from a generator that is asked within the step."""


COUNTS_ALL_RANKS = True
"""Keras makes one array of what the ranks bring."""


def join(rank: int, ranks: int, address: str) -> None:
    """Use `keras.distribution.DataParallel` over all ranks; each brings its share of a batch."""
    keras.distribution.initialize(address, ranks, rank)
    whole = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(whole)


def leave() -> None:
    """Use no distribution any more."""
    keras.distribution.set_distribution(None)


def together(model: Any) -> Any:
    """Return the model: what its weights are made of is distributed already."""
    return model


def version() -> str:
    """Return the version of JAX."""
    return str(jax.__version__)


def device() -> str:
    """Return `cpu`, or the kind of the first device."""
    first = jax.devices()[0]
    return "cpu" if first.platform == "cpu" else str(first.device_kind)


def synchronize(model: Any) -> None:
    """Wait for the values that the last step has made."""
    variables = [*model.variables, *model.metrics_variables]
    wait_for([variable.value for variable in variables])


def wait_for(tensors: Sequence[Any]) -> None:
    """Wait for the arrays."""
    jax.block_until_ready(list(tensors))


def memory() -> dict[str, int] | None:
    """Return `Device.memory_stats`, whose peak counts from the start of the process."""
    stats = jax.devices()[0].memory_stats()
    if stats is None:
        return None
    return {
        "peak_device_bytes": int(stats["peak_bytes_in_use"]),
        "device_bytes_in_use": int(stats["bytes_in_use"]),
    }


def reset_peak_memory() -> None:
    """Do nothing: JAX cannot."""


def repeat(runs: Sequence[tuple[Any, int]], *, epochs: int) -> dict[str, Any]:
    """Return a generator: the device's arrays pass through Keras as they are."""

    def batches() -> Iterator[Any]:
        for _ in range(epochs):  # Keras cannot begin a generator again
            for batch, times in runs:
                for _ in range(times):
                    yield batch if isinstance(batch, tuple) else (batch,)  # Keras asks for one

    return {"x": batches(), "steps_per_epoch": sum(times for _, times in runs)}


def null_step(model: Any, count: Callable[[Any], dict[str, Any]], args: Any) -> Any:
    """Count in a stateless scope: the state comes before the batch, and the next one goes back."""
    state, batch = args
    *rest, metrics = state
    mapping = list(zip(model.metrics_variables, metrics, strict=True))
    with keras.StatelessScope(state_mapping=mapping) as scope:
        logs = count(batch)
    # JAX does not even move a batch to its device if no result depends on it.
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    # Sparse arrays have their values in `data`.
    leaves = [leaf if hasattr(leaf, "ravel") else leaf.data for leaf in keras.tree.flatten(x)]
    first, *others = (leaf.ravel()[0] if leaf.size else 0 for leaf in leaves)
    logs["value"] = sum(others, first)
    counted = [scope.get_current_value(variable) for variable in model.metrics_variables]
    return logs, (*rest, counted)
