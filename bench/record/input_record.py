"""What a user's input is, as it stands in `run.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class InputRecord:
    """What was found by reading an input without Keras, for an epoch or a few seconds."""

    kind: str
    """Such as `PyDataset` or `torch DataLoader`; see `loaders.audit.inputs.kinds.Kind`."""

    type: str
    """The name of its class."""

    form: Any = None
    """The first batch in its structure, each array as `{"dtype": name, "shape": numbers}`."""

    arrays: dict[str, str] = field(default_factory=dict)
    """Name of an array of a batch -> dtype and shape of a sample."""

    batches: int | None = None
    """Per epoch; `None`: it has no end that was seen."""

    samples: int | None = None
    """Per epoch; `None`: it was not read to its end."""

    batch_sizes: list[int] = field(default_factory=list)
    """The smallest and the largest that was seen, in samples."""

    mean_batch_size: float = 0.0
    """Samples per batch that was seen."""

    seconds_per_batch: float = 0.0
    """That reading took, without the first batch."""

    narrow: dict[str, str] = field(default_factory=dict)
    """Name of an array of a batch -> a narrower dtype that holds the values of the first batches
    exactly."""

    looked_at: int = 0
    """Batches that were read to find this out."""

    endless: bool = False
    """Whether it says itself that it never ends."""
