"""Sets which accelerator a case may use, and finds the GPU that this means.

Pure functions of an environment.
"""

from __future__ import annotations

from collections.abc import Mapping

CARDS = "CUDA_VISIBLE_DEVICES"
PCI_BUS_ID = "PCI_BUS_ID"

_NO_ACCELERATOR = {CARDS: "-1", "JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
_DEFAULTS = {
    # CUDA numbers cards by speed unless it is told otherwise, NVML by their place on the bus.
    "CUDA_DEVICE_ORDER": PCI_BUS_ID,
    # Both would take nearly all of the card at once, whatever they need.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def environment_of_case(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a case's process.

    Args:
        device: `cpu` hides every accelerator. Otherwise what is set already stands, and where
            nothing is, cards are numbered as on the bus and memory is taken as it is needed.
        environment: that of this process.
    """
    if device == "cpu":
        return {**environment, **_NO_ACCELERATOR}
    return {**_DEFAULTS, **environment}


def first_card(environment: Mapping[str, str]) -> int | str | None:
    """Return the card that frameworks use where they use one: the first that is visible.

    Args:
        environment: that of this process, which `CUDA_VISIBLE_DEVICES` may restrict.

    Returns:
        A number on the bus, or a UUID such as `GPU-8932f937` (also its first characters);
        `None` if no card is visible.
    """
    visible = environment.get(CARDS)
    if visible is None:
        return 0
    first = visible.split(",")[0].strip()
    if first.isdecimal():
        return int(first)
    # CUDA stops at the first entry that names no card: `-1` and nonsense hide all.
    return first if first.upper().startswith(("GPU-", "MIG-")) else None
