"""A user's input in the process of a case: what it is, and `fit` over so many of its batches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any

import keras

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.bench.child.inputs.batch_form import (
    as_fit_takes_it,
    as_tensors,
    described,
    form_of,
    samples_of,
    text_in,
)
from keras_loader_bench.bench.child.inputs.narrow_dtypes import NarrowDtypes
from keras_loader_bench.bench.child.steady_time import SteadyTime
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.loaders.audit.batches.recording import refused_fields
from keras_loader_bench.loaders.audit.inputs.epochs import SHUFFLED
from keras_loader_bench.loaders.audit.inputs.kinds import Kind, Length, read_by_hand
from keras_loader_bench.loaders.audit.inputs.subject import Subject
from keras_loader_bench.loaders.audit.inputs.target import (
    Target,
    TargetError,
    check_backend,
    load_target,
)
from keras_loader_bench.loaders.system.text import shown

REPLAYED_BATCHES = 8
"""The most batches that a ceiling repeats: one stands for all unless their sizes differ."""

LOOK_SECONDS = 5.0
"""How long an input is read to find out what it is."""


class InputFeed:
    """What `fit` is given: an input by its name, made anew where it can be read only once.

    Args:
        name: `module:attribute`, see `loaders.audit.inputs.target.load_target`.
        steps: batches per epoch; 0: all that it has.
        remedy: what is tried to make it faster; see `bench.plan.remedies`.
        narrow: name of an array of a batch -> a dtype that would do; see `narrow_dtypes`.
        on_batch: called for each batch that is read without Keras.
    """

    def __init__(
        self,
        name: str,
        *,
        steps: int = 0,
        remedy: str = NONE,
        narrow: Mapping[str, str] | None = None,
        on_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._target = target = load_target(name)
        check_backend(target, keras.backend.backend())
        self._subject = Subject(target)
        self._steps = steps
        self._on_batch = on_batch
        self.type = self._subject.type
        if self._subject.length == "infinite" and not steps:
            raise TargetError(
                f"`{name}` is an endless {self._subject.kind}; give the number of batches per "
                "epoch with `--steps N`."
            )
        if isinstance(self._subject.length, int) and steps > self._subject.length:
            raise TargetError(
                f"`--steps {steps}` asks for more batches than the {self._subject.length} that an "
                f"epoch of `{name}` has; leave it out."
            )
        # A PyDataset with a remedy is shuffled as well.
        self.shuffles = self._subject.kind in SHUFFLED
        """Whether `fit` changes the order of its batches, or of the samples in them."""
        if remedy != NONE:
            from keras_loader_bench.bench.child.inputs.remedies import apply_remedy

            own = self._subject

            def make() -> Any:
                value, kind = own.value(), own.kind
                return apply_remedy(remedy, value, kind, narrow=narrow, on_batch=on_batch)

            # A generator is made anew each time, everything else once: `Subject` sees to it.
            self._subject = Subject(Target(name=name, make=make, made=True))
        self.kind: Kind = self._subject.kind
        self.length: Length = self._subject.length

    def value(self) -> Any:
        """Return the input."""
        return self._subject.value()

    def made_again(self) -> Any | None:
        """Return the input, made once more by its function; `None`: no function makes it."""
        return self._target.make() if self._target.made else None

    def data_arguments(self) -> dict[str, Any]:
        """Return the arguments of `fit` that say what it trains on."""
        return self._subject.fit_arguments()

    def fit_arguments(self) -> dict[str, Any]:
        """Return the same, with Keras' default order."""
        return {**self.data_arguments(), "shuffle": self.shuffles}

    def batches(self, value: Any = None) -> Any:
        """Return an iterator over its batches, read without Keras; over those of another value."""
        for batch in read_by_hand(self._subject.value() if value is None else value, self.kind):
            self._on_batch()
            yield as_fit_takes_it(batch)

    @cached_property
    def first(self) -> list[Any]:
        """The first batch; the first `REPLAYED_BATCHES` where they are not all of one size."""
        with closing(self.batches()) as batches:
            first = list(itertools.islice(batches, REPLAYED_BATCHES))
        if text := text_in(first[0]):
            raise TargetError(
                f"`fit` on {keras.backend.backend()} takes no text, and a batch has {text}; encode "
                "it, such as with `keras.layers.TextVectorization`. (On TensorFlow a tf.data "
                "dataset may have strings.)"
            )
        sizes = {str(form_of(batch)) for batch in first}
        return first[:1] if len(sizes) == 1 else first

    def check_fields(self) -> None:
        """Say what is wrong with batches that `fit` has refused.

        Raises:
            TargetError: the backend makes no tensor of a part of them.
        """
        for name, why in refused_fields(self.first[0]).items():
            raise TargetError(
                f"`fit` on {keras.backend.backend()} cannot be given `{name}`, of which Keras "
                f"makes no tensor ({shown(why)}); convert it in the input."
            )

    def replayed(self) -> list[Any]:
        """Return what a ceiling repeats: the `first` batches on the backend's device."""
        return [as_tensors(batch) for batch in self.first]

    def look(self) -> dict[str, Any]:
        """Read the input without Keras, one epoch or for `LOOK_SECONDS`, and say what it is.

        Returns:
            The fields of `bench.record.input_record.InputRecord`.
        """
        sizes: list[int] = []
        form: Any = None
        arrays: dict[str, str] = {}
        most = self._steps or None
        begin = after_first = time.perf_counter()
        seconds, ended = 0.0, False
        narrow, checking = NarrowDtypes(), 0.0
        with closing(self.batches()) as batches:
            for batch in itertools.islice(batches, most):
                if not sizes:
                    after_first = time.perf_counter()
                    form, arrays = form_of(batch), described(batch)
                sizes.append(samples_of(batch))
                checked = time.perf_counter()
                narrow.see(batch)
                checking += (time.perf_counter() - checked) if len(sizes) > 1 else 0.0
                # The first one may have waited for workers, or for a buffer to be filled.
                if len(sizes) > 1 and time.perf_counter() - after_first > LOOK_SECONDS:
                    break
            else:
                ended = True
            seconds = time.perf_counter() - after_first - checking
        if not sizes:
            raise TargetError(f"`{self.name}` yielded no batch when it was read.")
        if len(sizes) == 1:
            seconds = after_first - begin
        known = self.length if isinstance(self.length, int) else None
        batches_per_epoch = self._steps or known or (len(sizes) if ended else None)
        return {
            "kind": self.kind,
            "type": shown(self.type),
            "form": form,
            "arrays": arrays,
            "batches": batches_per_epoch,
            "samples": sum(sizes) if ended and len(sizes) == batches_per_epoch else None,
            "batch_sizes": [min(sizes), max(sizes)],
            "mean_batch_size": sum(sizes) / len(sizes),
            "seconds_per_batch": seconds / max(len(sizes) - 1, 1),
            "narrow": self._useful(narrow.found()),
            "looked_at": len(sizes),
            "endless": self.length == "infinite",
        }

    def _useful(self, narrow: dict[str, str]) -> dict[str, str]:
        if self.kind != "arrays":
            return narrow
        # Keras gives the floats of arrays its own dtype, whatever they had.
        return {name: dtype for name, dtype in narrow.items() if dtype == "uint8"}

    def read_alone(self, batches: int, value: Any = None) -> tuple[int, int, float]:
        """Read without Keras, as `for batch in input` does.

        Args:
            batches: how many.
            value: the same input, made again; `None`: the input.

        Returns:
            Batches and samples after the first one, and the seconds that they took.
        """
        begin, sizes = 0.0, []
        with closing(self.batches(value)) as each:
            for number, batch in enumerate(itertools.islice(each, batches)):
                if number:
                    sizes.append(samples_of(batch))
                else:
                    begin = time.perf_counter()
            seconds = time.perf_counter() - begin
        return len(sizes), sum(sizes), seconds


def fit_batches(
    model: Any, fit_args: dict[str, Any], batches: int, callbacks: Sequence[Any] = ()
) -> tuple[int, float]:
    """Train for so many batches, and time all but the first.

    Returns:
        How many batches were timed, and the seconds that they took; with fewer than three batches
        all, from the start of `fit`.

    Raises:
        RuntimeError: the input ended earlier.
    """
    steady = SteadyTime(batches)
    begin = time.perf_counter()
    model.fit(**fit_args, epochs=1, verbose=0, callbacks=[*callbacks, steady])
    current().synchronize(model)
    whole = time.perf_counter() - begin
    if not steady.complete:
        raise RuntimeError(
            f"`fit` was to take {batches} batches and ended after {steady.steps}: the input has "
            "fewer than it had at first. Give the number of batches per epoch with `--steps N`."
        )
    if batches < 3 or steady.begin is None or steady.end is None:
        return batches, whole
    return steady.timed, steady.end - steady.begin
