"""By what samples are recognised if their contents are random: a field, or a function's result.

Imports no framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from keras_loader_bench.loaders.audit.batches.fields import Field, as_field
from keras_loader_bench.loaders.audit.batches.records import Arrays, is_part_of, num_samples
from keras_loader_bench.loaders.audit.inputs.target import TargetError, load_attribute


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identify:
    """Returns the fields of a batch by which its samples are recognised."""

    name: str
    """`y`, `x/id` or `module:function`."""

    function: Callable[[Mapping[str, Field]], Any] | None = None
    """Is given the fields of a batch by name; returns one value per sample."""

    def __call__(self, batch: Arrays) -> Arrays:
        """Return the fields by which the samples of a batch are recognised.

        Raises:
            TargetError: there are none, or not one per sample.
        """
        if self.function is None:
            found = {name: field for name, field in batch.items() if is_part_of(name, self.name)}
            if not found:
                raise TargetError(
                    f"--identify {self.name}: a batch has no field of this name; it has "
                    f"{', '.join(f'`{name}`' for name in batch)}."
                )
        else:
            found = {"id": as_field(self.function(batch))}
        count = num_samples(batch)
        for name, field in found.items():
            if not field.ndim or len(field) != count:
                raise TargetError(
                    f"--identify {self.name}: `{name}` has the shape {field.shape}, and a batch "
                    f"of {count} samples needs one entry for each."
                )
        return found

    def of_inputs(self, batch: Arrays) -> Arrays:
        """Return the same of what `predict` is given, `x` alone; none if `x` does not tell."""
        return self(batch) if self.function is None and is_part_of(self.name, "x") else {}


def load_identify(name: str) -> Identify:
    """Return what recognises samples.

    Args:
        name: of a field, or `module:function`.

    Raises:
        TargetError: there is no such function.
    """
    if ":" not in name:
        return Identify(name=name)
    function = load_attribute(name)
    if not callable(function):
        raise TargetError(
            f"--identify {name}: `{name}` is of type `{type(function).__name__}`; it must be a "
            "function of a batch, a dictionary of arrays by name."
        )
    return Identify(name=name, function=function)
