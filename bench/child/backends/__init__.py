"""All that differs by Keras backend in a case's process: one module each, named after the backend.

A new backend is one file here and one name in `bench.plan.options.BACKENDS`. Its module has the
functions of `Backend`. Imported after Keras.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import keras


class Backend(Protocol):
    """What a backend's module has."""

    FETCHES_BEFORE_STEP: bool
    """Whether Keras has fetched the first batch before it calls `on_train_batch_begin`."""

    COUNTS_ALL_RANKS: bool
    """Whether the step of a rank that trains with others sees the samples of all."""

    def join(self, rank: int, ranks: int, address: str) -> None:
        """Let this process train together with others, before any device is used.

        Args:
            rank: its number, from 0.
            ranks: how many there are.
            address: host and port at which rank 0 listens.
        """

    def leave(self) -> None:
        """Let models that are made from now on train alone."""

    def together(self, model: Any) -> Any:
        """Return a model that averages its gradients with those of other ranks.

        Args:
            model: one that is built and not yet compiled, made after `join`.
        """

    def version(self) -> str:
        """Return the version of the framework."""

    def device(self) -> str:
        """Return `cpu`, or the name of the first accelerator as its driver gives it."""

    def synchronize(self, model: Any) -> None:
        """Wait until the device has done everything that a model's steps have asked it for."""

    def wait_for(self, tensors: Sequence[Any]) -> None:
        """Wait until tensors have their values on the device."""

    def memory(self) -> dict[str, int] | None:
        """Return what the framework's allocator has handed out on the first accelerator, in bytes.

        Returns:
            `peak_device_bytes` and `device_bytes_in_use`, and where it is known
            `pinned_peak_bytes`; `None`: the allocator keeps no statistics.
        """

    def reset_peak_memory(self) -> None:
        """Let the peak of `memory` count from now on, where the framework can."""

    def repeat(self, runs: Sequence[tuple[Any, int]], *, epochs: int) -> dict[str, Any]:
        """Return `fit`'s arguments for batches that are in memory, in the fastest form.

        Args:
            runs: batches of tensors, as `fit` is given them, and how often each comes in a row.
            epochs: how many of such epochs the `fit` has.
        """

    def null_step(self, model: Any, count: Callable[[Any], dict[str, Any]], args: Any) -> Any:
        """Run a `train_step` that only counts its samples.

        Args:
            model: the model whose step it is.
            count: counts the samples of a batch and returns the step's logs.
            args: what Keras gives `train_step` on this backend; the last one is the batch.

        Returns:
            What Keras wants of `train_step` on this backend.
        """


def current() -> Backend:
    """Return the module of the backend that Keras runs on."""
    name = f"{__name__}.{keras.backend.backend()}"
    return cast("Backend", importlib.import_module(name))
