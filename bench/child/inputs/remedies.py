"""Applies what may help to an input; see `bench.plan.remedies`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import psutil

from keras_loader_bench.bench.child.inputs.batch_form import as_fit_takes_it
from keras_loader_bench.bench.child.inputs.narrowed_batches import narrowed_input
from keras_loader_bench.loaders.audit.inputs.kinds import Kind, read_by_hand

MOST_OF_MEMORY = 0.5
"""Share of the memory that is available that kept batches may take."""


class RemedyError(Exception):
    """A remedy cannot be applied to an input; the message says why."""


class KeptBatches(keras.utils.PyDataset):
    """The batches of one epoch, read once, as they were.

    Args:
        batches: in order.
    """

    def __init__(self, batches: list[Any]) -> None:
        super().__init__()
        self._batches = batches

    @property
    def num_batches(self) -> int:
        """How many there are."""
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        batch = self._batches[index]
        return batch if isinstance(batch, tuple) else (batch,)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What remedies are made of; see `apply_remedy`."""

    value: Any
    kind: Kind
    narrow: Mapping[str, str]
    on_batch: Callable[[], None]


def apply_remedy(
    name: str,
    value: Any,
    kind: Kind,
    *,
    narrow: Mapping[str, str] | None = None,
    on_batch: Callable[[], None],
) -> Any:
    """Return an input with a remedy.

    Args:
        name: a key of `bench.plan.remedies.REMEDIES`, that applies to its kind.
        value: the input, which may be changed.
        kind: of the input.
        narrow: name of an array of a batch -> a dtype that would do; see `narrow_dtypes`.
        on_batch: called for each batch that is read.

    Raises:
        RemedyError: its batches are to be kept in memory and do not fit, or to be joined and it
            makes them in its own way.
    """
    return _APPLY[name](_Given(value=value, kind=kind, narrow=narrow or {}, on_batch=on_batch))


def _bridged(given: _Given) -> Any:
    from keras_loader_bench.loaders import bridge

    return bridge(given.value)


def _bridged_with_threads(given: _Given) -> Any:
    given.value.workers = 2
    return _bridged(given)


def _with_keras_threads(given: _Given) -> Any:
    given.value.workers, given.value.use_multiprocessing = 2, False
    return given.value


def _with_loader_processes(given: _Given) -> Any:
    value = copy.copy(given.value)  # the input itself is what the audit reads
    value.num_workers = 2
    value.prefetch_factor = value.prefetch_factor or 2  # torch's default where there are workers
    return value


def _prefetched(given: _Given) -> Any:
    import tensorflow as tf

    return given.value.prefetch(tf.data.AUTOTUNE)


def _in_processes(given: _Given) -> Any:
    import grain

    value = given.value
    stream = value.to_iter_dataset() if hasattr(value, "to_iter_dataset") else value
    return stream.mp_prefetch(grain.MultiprocessingOptions(num_workers=2))


def _doubled(given: _Given) -> Any:
    from keras_loader_bench.bench.child.inputs import joined_batches as to

    if given.kind == "PyDataset":
        return to.JoinedBatches(given.value)
    if given.kind == "tf.data dataset":
        return to.joined_dataset(given.value)
    try:
        return to.joined_loader(given.value)
    except ValueError as error:
        raise RemedyError(str(error)) from None


def _kept(given: _Given) -> Any:
    kept: list[Any] = []
    room = MOST_OF_MEMORY * psutil.virtual_memory().available
    for batch in read_by_hand(given.value, given.kind):
        given.on_batch()
        kept.append(as_fit_takes_it(batch))
        room -= sum(map(_bytes_of, keras.tree.flatten(batch)))
        if room < 0:
            raise RemedyError(
                f"{len(kept):,} of its batches already take more than half of the memory that is "
                "available"
            )
    return KeptBatches(kept)


def _narrowed(given: _Given) -> Any:
    return narrowed_input(given.value, given.kind, given.narrow)


def _bytes_of(leaf: Any) -> int:
    if leaf is None:
        return 0
    if (size := getattr(leaf, "nbytes", None)) is not None:
        return int(size)
    width = int(getattr(leaf.dtype, "size", 1) or 1)  # TensorFlow's tensors do not say
    return int(math.prod(leaf.shape)) * width


_APPLY: dict[str, Callable[[_Given], Any]] = {
    "bridge": _bridged,
    "bridge2": _bridged_with_threads,
    "workers2": _with_keras_threads,
    "num_workers2": _with_loader_processes,
    "prefetch": _prefetched,
    "mp_prefetch2": _in_processes,
    "doubled": _doubled,
    "narrow": _narrowed,
    "in_memory": _kept,
}
