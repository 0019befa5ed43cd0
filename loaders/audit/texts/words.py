"""Words that several parts of a report share."""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.loaders.audit.parent import Event

STAGES = {"keras": "importing Keras", "load": "loading it", "by hand": "reading it directly"}
"""Stages of a run that are not methods of Keras."""


NAMES = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "PyTorch", "openvino": "OpenVINO"}
"""The names of backends, by Keras' names for them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem."""

    text: str
    verbatim: str = ""
    """A traceback, or the last output."""


def stage_name(name: str) -> str:
    """Return what a stage is called in a sentence."""
    return STAGES.get(name, f"`{name}`")


def bridged(about: Event) -> str:
    """Return the line that feeds an input through the bridge."""
    return f"model.fit(bridge({about['expression']}), ...)"
