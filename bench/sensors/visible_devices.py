"""Sets which accelerators a case may use, and finds the GPUs that this means.

Pure functions of an environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

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


def visible_cards(environment: Mapping[str, str], count: int) -> list[str]:
    """Return the cards that frameworks may use, in their order, as `CUDA_VISIBLE_DEVICES` has them.

    Args:
        environment: that of this process, which may restrict them.
        count: how many cards the machine has.
    """
    visible = environment.get(CARDS)
    if visible is None:
        return [str(number) for number in range(count)]
    # CUDA stops at the first entry that names no card: `-1` and nonsense hide all.
    return list(takewhile(_is_card, map(str.strip, visible.split(","))))


def environment_of_rank(
    environment: Mapping[str, str], rank: int, ranks: int, count: int
) -> Mapping[str, str]:
    """Return the environment of a rank's process: a card of its own, if there are as many.

    Args:
        environment: see `environment_of_case`.
        rank: which of the case's ranks, from 0.
        ranks: how many there are.
        count: how many cards the machine has.
    """
    cards = visible_cards(environment, count)
    return {**environment, CARDS: cards[rank]} if len(cards) >= ranks else environment


def environment_of_own_rank(environment: Mapping[str, str], count: int) -> Mapping[str, str]:
    """Return the environment of a rank that others started, with a card of its own as above.

    Args:
        environment: that of this process, with LOCAL_RANK and LOCAL_WORLD_SIZE where it has others
            beside it on its machine.
        count: how many cards the machine has.
    """
    rank, ranks = environment.get("LOCAL_RANK", ""), environment.get("LOCAL_WORLD_SIZE", "")
    if not (rank.isdecimal() and ranks.isdecimal() and int(rank) < int(ranks)):
        return environment
    return environment_of_rank(environment, int(rank), int(ranks), count)


def first_card(environment: Mapping[str, str]) -> int | str | None:
    """Return the card that frameworks use where they use one: the first that is visible.

    Args:
        environment: that of this process, which `CUDA_VISIBLE_DEVICES` may restrict.

    Returns:
        A number on the bus, or a UUID such as `GPU-8932f937` (also its first characters);
        `None` if no card is visible.
    """
    first = next(iter(visible_cards(environment, 1)), None)
    return int(first) if first is not None and first.isdecimal() else first


def _is_card(name: str) -> bool:
    return name.isdecimal() or name.upper().startswith(("GPU-", "MIG-"))
