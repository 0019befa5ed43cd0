"""The input of a run: its kind, its length and how it is passed to `fit`."""

from __future__ import annotations

from typing import Any

from keras_loader_bench.loaders.audit.inputs.arrays import BATCH_SIZE, fit_arguments, num_samples
from keras_loader_bench.loaders.audit.inputs.kinds import (
    Kind,
    Length,
    kind_of,
    length_of,
    samples_of_input,
)
from keras_loader_bench.loaders.audit.inputs.target import Target, TargetError

MAX_BATCHES = 100_000
MAX_SAMPLES = 10_000_000
"""Limits of a direct reading if the input has no length; its time is another."""


class Subject:
    """An input that is read and passed to `fit` several times.

    Args:
        target: the input, or what makes it. A generator is made anew each time, everything else
            once, as in a script.

    Raises:
        TargetError: `fit` does not take it.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        value = target.make()
        self.kind: Kind = kind_of(value) or "generator"
        self._value = None if self.kind == "generator" else value
        self.type = self.kind if self.kind == "arrays" else type(value).__qualname__
        if self.kind == "arrays" and len(counts := num_samples(value)) > 1:
            raise TargetError(
                f"The arrays of `{target.name}` must have the same number of samples, got "
                f"{sorted(counts)}; name what one call of `fit` is given."
            )
        try:
            self.length: Length = length_of(value, self.kind)
        except ValueError as error:
            raise TargetError(str(error)) from None

    def value(self) -> Any:
        """Return the input."""
        return self._target.make() if self._value is None else self._value

    def fit_arguments(self) -> dict[str, Any]:
        """Return the arguments of `fit` that say what it trains on."""
        if self.kind == "arrays":  # told, because Keras else makes larger batches of few steps
            return {**(fit_arguments(self._value) or {}), "batch_size": BATCH_SIZE}
        return {"x": self.value()}

    def check_end(self, batches: int, samples: int, seconds: float, *, most_s: float) -> None:
        """Refuse an input without a length whose reading has gone on for too long.

        Args:
            batches: that came so far.
            samples: in them.
            seconds: since the first one.
            most_s: after which it counts as endless.

        Raises:
            TargetError: it has.
        """
        if batches >= MAX_BATCHES or samples >= MAX_SAMPLES or seconds > most_s:
            raise TargetError(
                f"`{self._target.name}` does not say how long it is, and did not end within "
                f"{batches:,} batches ({seconds:.0f} s); if it is endless, give the number of "
                "batches per epoch with --steps-per-epoch N; if it is long, look at the first "
                "batches with --batches N, or use a larger --timeout."
            )

    def about(self) -> dict[str, Any]:
        """Return what a report says of it."""
        value: Any = self._value
        about: dict[str, Any] = {
            "kind": self.kind,
            "type": self.type,
            "length": self.length,
            "expression": self._target.expression,
            "arguments": ["x"],
            "known_samples": samples_of_input(value, self.kind),
        }
        if self.kind == "PyDataset":
            about |= {
                name: getattr(value, name, None) for name in ("workers", "use_multiprocessing")
            }
        elif self.kind == "arrays":
            about["arguments"] = [*(fit_arguments(value) or {}), f"batch_size={BATCH_SIZE}"]
        elif self.kind == "torch DataLoader" and not value.persistent_workers:
            context = value.multiprocessing_context
            method = getattr(context, "get_start_method", lambda: "")()
            about["started_anew"] = value.num_workers if method in ("spawn", "forkserver") else 0
        return about
