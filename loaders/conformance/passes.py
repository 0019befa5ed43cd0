"""Runs the passes over an input, and says which samples each was given.

Imports Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.audit.batches.fingerprint_model import named_arrays
from keras_loader_bench.loaders.conformance.expected import (
    INTERRUPTED_AFTER,
    RUNS,
    Batches,
    batches_of,
)
from keras_loader_bench.loaders.conformance.inputs import Input
from keras_loader_bench.loaders.conformance.seen import (
    PrintModel,
    SeenModel,
    SeenSamples,
    sample_checksums,
)
from keras_loader_bench.loaders.conformance.setups import FEWER, Setup

UNKNOWN = -1
_BACKED_UP_AFTER = 2


class _StopError(Exception):
    """Ends a `fit` in the middle."""


class _Stop(keras.callbacks.Callback):
    """Raises after so many batches, or with the executions that these belong to."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self._batches = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 >= self._batches:
            raise _StopError


class _Epochs(keras.callbacks.Callback):
    """Clears what is seen when `fit` begins, and notes how many batches its epochs end with."""

    def __init__(self, seen: SeenSamples, *, training: bool) -> None:
        super().__init__()
        self._seen = seen
        self._training = training
        self.ends = [0]

    def on_train_begin(self, logs: Any = None) -> None:
        self._seen.clear()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(len(self._seen.read(training=self._training)))


class Trial:
    """Runs the passes over one input.

    `fit` and `predict` have a model that Keras has to build, for which it draws a batch ahead;
    validation and `evaluate` have the one of the last `fit`, which is compiled already.

    Args:
        setup: the conditions.
        given: the input.
    """

    def __init__(self, setup: Setup, given: Input) -> None:
        self._setup = setup
        self._given = given
        samples = given.samples()
        self._numbers = _numbers(samples)
        self._numbers_of_x = _numbers(samples[:1])
        batches = batches_of(setup)
        self._batch_size = len(batches[0])
        self._first = keras.tree.map_structure(lambda array: array[: self._batch_size], samples)
        self._most = 3 * len(batches) + 6, self._batch_size
        every = {"none": None, "fewer": FEWER, "all": len(batches)}
        self._steps = every[setup.steps]
        self._model = self._new_model()
        self._methods: Mapping[str, Callable[[], list[Batches]]] = {
            "fit, epoch 1": self._fit_anew,
            "validation, epoch 1": self._validate,
            "evaluate": self._evaluate,
            "predict": self._predict,
            "fit after an exception": self._fit_after_an_exception,
            "fit resumed in mid-epoch": self._resumed,
        }

    def run(self, names: Sequence[str]) -> dict[str, Batches]:
        """Return which samples some passes were given, all of one call of `fit` or the like."""
        call = next(call for call in RUNS if names[0] in call)
        return dict(zip(call, self._methods[call[0]](), strict=False))

    def _new_model(self) -> SeenModel:
        model = SeenModel(*self._most)
        model.compile(optimizer="sgd", steps_per_execution=self._setup.steps_per_execution)
        return model

    @cached_property
    def _interrupted(self) -> SeenModel:
        return self._new_model()

    def _fit_anew(self) -> list[Batches]:
        self._model = self._new_model()
        return self._fit(epochs=2)

    def _trained(self) -> dict[str, Any]:
        arguments = self._given.make()
        return arguments | ({"steps_per_epoch": self._steps} if self._steps else {})

    def _tested(self) -> dict[str, Any]:
        arguments = self._given.make()
        steps = self._steps or arguments.pop("steps_per_epoch", None)
        return arguments | ({"steps": steps} if steps else {})

    def _fit(
        self,
        arguments: dict[str, Any] | None = None,
        *,
        epochs: int = 1,
        model: SeenModel | None = None,
        callbacks: Sequence[Any] = (),
    ) -> list[Batches]:
        model = model or self._model
        marks = _Epochs(model.seen, training=True)
        model.fit(
            **(arguments or self._trained()),
            epochs=epochs,
            shuffle=self._setup.shuffle,
            verbose=0,
            callbacks=[*callbacks, marks],
        )
        return self._parts(model, marks.ends, training=True)

    def _parts(self, model: SeenModel, ends: Sequence[int], *, training: bool) -> list[Batches]:
        found = [
            [self._numbers.get(each, UNKNOWN) for each in batch]
            for batch in model.seen.read(training=training)
        ]
        return [found[i:j] for i, j in pairwise(ends)]

    def _validate(self) -> list[Batches]:
        arguments = self._given.make()
        names = ("x", "y", "sample_weight")
        whole = tuple(arguments[name] for name in names if name in arguments)
        more = {"validation_batch_size": arguments["batch_size"]} if len(whole) > 1 else {}
        if steps := self._steps or arguments.get("steps_per_epoch"):
            more["validation_steps"] = steps
        marks = _Epochs(self._model.seen, training=False)
        self._model.fit(
            **dict(zip(names, self._first, strict=False)),
            batch_size=self._batch_size,
            validation_data=whole if len(whole) > 1 else whole[0],
            epochs=2,
            verbose=0,
            callbacks=[marks],
            **more,
        )
        return self._parts(self._model, marks.ends, training=False)

    def _evaluate(self) -> list[Batches]:
        self._model.seen.clear()
        self._model.evaluate(**self._tested(), verbose=0)
        return self._parts(self._model, [0, self._most[0]], training=False)

    def _predict(self) -> list[Batches]:
        arguments = self._tested()
        for name in ("y", "sample_weight"):
            arguments.pop(name, None)
        model = PrintModel()
        model.compile(steps_per_execution=self._setup.steps_per_execution)
        came = np.asarray(model.predict(**arguments, verbose=0)).tolist()
        flat = [self._numbers_of_x.get(each, UNKNOWN) for each in came]
        size = self._batch_size  # what comes back has no batches
        return [[flat[start : start + size] for start in range(0, len(flat), size)]]

    def _fit_after_an_exception(self) -> list[Batches]:
        arguments = self._trained()
        with suppress(_StopError):
            self._fit(arguments, model=self._interrupted, callbacks=[_Stop(2)])
        return self._fit(arguments, model=self._interrupted)

    def _resumed(self) -> list[Batches]:
        with tempfile.TemporaryDirectory() as folder:

            def go(*stop: Any) -> list[Batches]:
                path = str(Path(folder) / "backup")
                backup = keras.callbacks.BackupAndRestore(path, save_freq=_BACKED_UP_AFTER)
                model = self._new_model()
                model(self._first[0])  # it must be built before it is backed up
                return self._fit(model=model, callbacks=[backup, *stop])

            with suppress(_StopError):
                go(_Stop(INTERRUPTED_AFTER))
            return go()


def _numbers(samples: Sequence[Any]) -> dict[int, int]:
    """Return the number of each sample by its checksum."""
    parts = (*samples, None, None)[:3]
    checksums = keras.ops.convert_to_numpy(sample_checksums(named_arrays(parts))).tolist()
    assert len(set(checksums)) == len(checksums), "each sample has another checksum"
    return {each: number for number, each in enumerate(checksums)}
