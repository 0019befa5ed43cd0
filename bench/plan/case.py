"""A case: one loader, benchmark and set of options, measured in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_loader_bench.bench.plan.options import CASE_OPTIONS, CaseOptions
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.encoded.registry import (
    DRAWS_NOTHING,
    IMAGE_LOADERS,
    ONLY_ORDER,
)
from keras_loader_bench.loaders.encoded.views import margin
from keras_loader_bench.loaders.registry import LoaderEntry, missing_package

BENCHES = ("feed", "train", "memory", "emulated")
"""The benchmarks, each with the name of the model that it fits."""

IMAGES = "images"
"""What `bench_images.py` measures: the cases of encoded images in `IMAGE_BENCHES`."""

IMAGE_BENCHES = ("feed", "train", "memory")
"""The benchmarks of encoded images."""

RANKS = "ranks"
"""What `bench_ranks.py` measures: the cases of all benchmarks."""

TRAINS_ALONE = {
    "tensorflow": (
        "Keras 3.15.1 does not train within `tf.distribute.MultiWorkerMirroredStrategy`: `fit` "
        "raises `Attempt to convert a value (PerReplica...) ... to a Tensor`; leave out `--ranks`, "
        "or training"
    )
}
"""Backend -> why ranks cannot train together on it."""

MODULES = (*BENCHES, IMAGES, RANKS)
"""The names of the modules with benchmarks."""

CEILING = "ceiling"
"""In place of a loader's name: the ceiling, measured as if it were a loader."""

_CEILING_ENTRY = LoaderEntry("bench.child.ceiling:CeilingLoader")
_INPUT_ENTRY = LoaderEntry("bench.child.inputs.input_feed:InputFeed")


def loaders_of(image_size: int) -> Mapping[str, LoaderEntry]:
    """Return the registry that a case's loader is in: that of encoded images, or of other ones."""
    return IMAGE_LOADERS if image_size else LOADERS


@dataclass(frozen=True, kw_only=True)
class Case(CaseOptions):
    """One loader x model x options x backend. `str(case)` is its id everywhere."""

    bench: str

    @property
    def is_input(self) -> bool:
        """Whether it measures a user's input, `module:attribute`, in place of a loader."""
        return self.pixels == "own"

    @property
    def fitted_model(self) -> str:
        """The name of the model to fit."""
        return self.model if self.bench == "train" else "null"

    @property
    def entry(self) -> LoaderEntry:
        """What is known of its loader."""
        if self.is_input:
            return _INPUT_ENTRY
        return (
            _CEILING_ENTRY if self.loader == CEILING else loaders_of(self.image_size)[self.loader]
        )

    @property
    def container(self) -> str:
        """In what its loader finds encoded images; empty for other sources."""
        if not self.image_size:
            return ""
        return getattr(self.entry, "container", None) or "one file"

    @property
    def decodes(self) -> bool:
        """Whether rounds of its loader decode images."""
        return bool(getattr(self.entry, "decodes", False))

    @property
    def missing(self) -> str | None:
        """The packages that it needs and that are not installed, with the remedy; `None`: none."""
        return missing_package((self.backend, *self.entry.packages))

    @property
    def unsupported(self) -> str | None:
        """The reason why this case cannot be run; `None` if it can."""
        if self.backend == "torch" and self.steps_per_execution > 1:
            return (
                f"Keras runs one step per execution on torch, got {self.steps_per_execution}; "
                "remove torch from --keras-backends, or --steps-per-execution"
            )
        if self.image_order == "shuffled" and (only := self._only_order):
            return f"{only}; leave out `--image-order shuffled`"
        if self.ranks > 1 and self._only_order:
            return f"{self._only_order}, so no rank can read its share alone; leave out `--ranks`"
        if self.trains_together and (reason := TRAINS_ALONE.get(self.backend)):
            return reason
        if self.augment == "loader" and not getattr(self.entry, "draws_views", True):
            return f"{DRAWS_NOTHING} (`--augment model`)"
        # Those of encoded images open a file for each image.
        maps = self.entry.worker_processes and not self.image_size
        if self.page_cache == "cold" and self.num_workers and maps:
            return (
                "its worker processes keep the source's pages mapped, so they cannot be dropped; "
                "leave out `--page-cache cold` or --num-workers"
            )
        return None

    @property
    def samples_per_rank(self) -> int:
        """How many an epoch has on each rank; see `loaders.shards`."""
        return self.samples // self.ranks

    @property
    def trains_together(self) -> bool:
        """Whether its ranks average their gradients in every step."""
        return self.ranks > 1 and self.bench == "train"

    @property
    def stored_size(self) -> int:
        """Height and width that stored images must have at least."""
        beside = margin(self.image_size) if self.augment != "none" else 0
        return self.image_size + 2 * beside

    @property
    def delivered_size(self) -> int:
        """Height and width of what its loader gives: more than a part where the model cuts it."""
        return self.stored_size if self.augment == "model" else self.image_size

    @property
    def _only_order(self) -> str:
        """Why its loader has one order of rows; empty: it has any."""
        return ONLY_ORDER.get(getattr(self.entry, "order", "any"), "")

    @property
    def audited(self) -> tuple[object, ...]:
        """What its audit depends on: cases of which this is the same need one between them."""
        return tuple(getattr(self, name) for name, each in CASE_OPTIONS.items() if each.audited)

    @property
    def without_samples(self) -> str:
        """The id without the number of samples."""
        parts = [self.bench]
        for name, each in CASE_OPTIONS.items():
            value = getattr(self, name)
            if each.kind is bool or name == "samples" or value is None or not each.is_given(value):
                continue
            if self.is_input and name in ("num_workers", *(["model"] * (self.bench != "train"))):
                continue
            if each.always_in_id or value != each.default:
                busy = "cpu" if name == "step_ms" and self.step_cpu else ""
                parts.append(busy + each.in_id.format(value))
        return "-".join(parts)

    def __str__(self) -> str:
        size = CASE_OPTIONS["samples"]
        if not size.is_given(self.samples):
            return self.without_samples
        return f"{self.without_samples}-{size.in_id.format(self.samples)}"
