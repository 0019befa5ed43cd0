"""Why Keras goes wrong where it does: the causes that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.loaders.conformance.mends import Mend


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A cause of problems in Keras, or in what it is given."""

    key: str
    title: str
    why: str
    """Two or three sentences, from Keras' source."""

    remedy: str
    link: str
    """To where it is described or tracked."""

    explains: Callable[[Mapping[str, Any], str], bool]
    """Given a problem as `stored.problem_dict` has it, and the backend."""

    mend: Mend | None = None
    """A change of Keras that was tried."""

    where: str = ""
    """File and function of Keras that it comes from."""


KNOWN: tuple[Cause, ...] = ()


def cause_of(problem: Mapping[str, Any], backend: str) -> Cause | None:
    """Return the known cause of a problem; `None`: it is new."""
    return next((cause for cause in KNOWN if cause.explains(problem, backend)), None)
