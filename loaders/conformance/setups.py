"""The conditions under which Keras is tried, and which of their combinations are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product
from types import MappingProxyType

from keras_loader_bench.loaders.registry import LOADERS, LoaderEntry

Value = str | int | bool
Conditions = tuple[tuple[str, Value], ...]

BATCH = 4
BATCHES = 10
FEWER = 4
"""Batches of an epoch where `steps_per_epoch` is less than there are."""


@dataclass(frozen=True)
class Setup:
    """One set of conditions. The defaults are the plainest ones."""

    kind: str
    """Of the input; a name of `KINDS`."""

    workers: str = "none"
    """`threads` or `processes`: two of the kind's own, or of Keras for a PyDataset."""

    shuffle: bool = False
    """What `fit` is told."""

    steps: str = "none"
    """`steps_per_epoch`: not given, `fewer` than there are batches, or `all`."""

    steps_per_execution: int = 1
    last_batch: str = "full"
    """Or `partial`: it has half as many samples."""

    structure: str = "tuple"
    """`(x, y)`; or `dict`: x is a dictionary of two arrays; or `weights`: with sample weights."""

    def __str__(self) -> str:
        said = [_value_text(name, value) for name, value in self.conditions.items()]
        return ", ".join([self.kind, *said])

    @property
    def conditions(self) -> dict[str, Value]:
        """What is not at its default, beside the kind."""
        given = {name: getattr(self, name) for name in AXES}
        return {name: value for name, value in given.items() if value != AXES[name][0]}

    def without(self, name: str) -> Setup:
        """Return the same with one condition at its default."""
        return replace(self, **{name: AXES[name][0]})  # type: ignore[arg-type]

    def includes(self, other: Setup) -> bool:
        """Return whether all conditions of another one hold here."""
        mine = self.conditions.items()
        return self.kind == other.kind and all(each in mine for each in other.conditions.items())


AXES: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {
        "workers": ("none", "threads", "processes"),
        "shuffle": (False, True),
        "steps": ("none", "fewer", "all"),
        "steps_per_execution": (1, 3),
        "last_batch": ("full", "partial"),
        "structure": ("tuple", "dict", "weights"),
    }
)
"""Condition -> its values, the default first."""


def _value_text(name: str, value: Value) -> str:
    """Return how a condition is written."""
    return {
        "workers": f"2 {value}",
        "shuffle": "shuffle",
        "steps": f"{value} steps per epoch",
        "steps_per_execution": f"steps_per_execution={value}",
        "last_batch": f"{value} last batch",
        "structure": {"dict": "dictionary", "weights": "sample weights"}.get(str(value), ""),
    }[name]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of input."""

    axes: Mapping[str, tuple[Value, ...]]
    """Condition -> the values that it can have; others are at their default."""

    packages: tuple[str, ...] = ()
    """What has to be installed."""

    shuffled: str = "no"
    """What `fit(shuffle=True)` shuffles: `batches`, `samples` or nothing (`no`)."""

    single_use: bool = False
    """Whether it can be read once only, as a generator."""

    own: bool = False
    """Whether this project brings it."""

    samples: int = BATCH * BATCHES
    """With full batches."""

    batch: int = BATCH


def _with(**axes: tuple[Value, ...]) -> Mapping[str, tuple[Value, ...]]:
    return MappingProxyType({**AXES, "workers": ("none",), **axes})


def _workers_of(entry: LoaderEntry) -> tuple[Value, ...]:
    return ("none", "threads") if entry.has_workers and not entry.worker_processes else ("none",)


_IMAGES: Mapping[str, tuple[Value, ...]] = {"structure": ("tuple",)}
_ROWS: Mapping[str, tuple[Value, ...]] = {**_IMAGES, "shuffle": (False,), "steps": ("none",)}

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "arrays": Kind(axes=_with(), shuffled="samples"),
        "generator": Kind(axes=_with(), single_use=True),
        "PyDataset": Kind(axes=_with(workers=AXES["workers"]), shuffled="batches"),
        "tf.data": Kind(axes=_with(), packages=("tensorflow",)),
        "DataLoader": Kind(axes=_with(workers=("none", "processes")), packages=("torch",)),
        "iterable DataLoader": Kind(axes=_with(workers=("none", "processes")), packages=("torch",)),
        "Grain MapDataset": Kind(axes=_with(), packages=("grain",)),
        "Grain IterDataset": Kind(axes=_with(workers=("none", "threads")), packages=("grain",)),
        "image_dataset_from_directory": Kind(
            axes=_with(**_IMAGES), packages=("tensorflow", "PIL:pillow")
        ),
        "image_dataset_from_directory (grain)": Kind(
            axes=_with(**_IMAGES), packages=("grain", "PIL:pillow")
        ),
        "bridge": Kind(axes=_with(workers=("none", "threads")), shuffled="batches", own=True),
        "CIFAR10Sequence": Kind(
            axes=_with(workers=("none", "threads"), last_batch=("partial",), **_IMAGES),
            shuffled="batches",
            own=True,
            samples=10_000,
            batch=1024,
        ),
        **{
            name: Kind(
                axes=_with(workers=_workers_of(entry), **_ROWS),
                packages=entry.packages,
                own=entry.own,
            )
            for name, entry in LOADERS.items()
            if not entry.opt_in
        },
    }
)
"""Name -> the kind. Those after `CIFAR10Sequence` are the loaders of the registry."""

COMPLETE = ("workers", "shuffle", "steps", "steps_per_execution")
"""Conditions of a PyDataset that are tried in every combination."""


SLOW = (
    Setup("Grain IterDataset", workers="processes"),
    *(
        Setup(name, workers="processes", last_batch="partial")
        for name, entry in LOADERS.items()
        if entry.worker_processes and name in KINDS
    ),
)
"""Setups that are tried without others of their kind: each pass starts processes that import a
framework first."""


def starts_slowly(setup: Setup) -> bool:
    """Return whether each pass starts processes that import a framework first."""
    return setup in SLOW or (setup.kind in LOADERS and setup.workers == "processes")


def every_setup(kind: str) -> Iterator[Setup]:
    """Yield all combinations of a kind."""
    axes = KINDS[kind].axes
    for values in product(*axes.values()):
        yield Setup(kind, **dict(zip(axes, values, strict=True)))  # type: ignore[arg-type]


def chosen_setups(kinds: Iterable[str] = KINDS) -> list[Setup]:
    """Return the combinations that are tried: of each kind, every pair of conditions occurs.

    Of a PyDataset, also every combination of the conditions in `COMPLETE`. Then those in `SLOW`.
    """
    found: list[Setup] = []
    for kind in kinds:
        setups = list(every_setup(kind))
        wanted = {pair for setup in setups for pair in _pairs(setup)}
        if kind == "PyDataset":
            wanted |= {_complete(setup) for setup in setups}
        while wanted:
            # Of those that show as much, the plainest one.
            best = max(setups, key=lambda s: (len(wanted & _shown(s)), -len(s.conditions)))
            wanted -= _shown(best)
            found.append(best)
        found += [setup for setup in SLOW if setup.kind == kind]
    return found


def _pairs(setup: Setup) -> set[Conditions]:
    return set(combinations([(name, getattr(setup, name)) for name in AXES], 2))


def _complete(setup: Setup) -> Conditions:
    return tuple((name, getattr(setup, name)) for name in COMPLETE)


def _shown(setup: Setup) -> set[Conditions]:
    return _pairs(setup) | {_complete(setup)}


QUICK = (
    Setup("PyDataset"),
    Setup("PyDataset", workers="threads"),
    Setup("PyDataset", workers="threads", steps_per_execution=3, last_batch="partial"),
    Setup("tf.data", steps="fewer"),
    Setup("bridge", workers="threads", last_batch="partial"),
)
"""The setups of a quick matrix."""
