"""Makes one answer of those that all ranks of a case give to a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def merged_answer(method: str, answers: Sequence[Any]) -> Any:
    """Return what is made of the answers to a request, which are in the order of the ranks."""
    merge = MERGED.get(method)
    return merge(answers) if merge else answers[0]


def _round(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged = dict(answers[0])
    for name, together in _OF_ROUNDS.items():
        values = [each[name] for each in answers if each.get(name) is not None]
        if values:
            merged[name] = together(values)
    return merged


def _audit(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the audit of the first rank whose batches are wrong, or that of rank 0."""
    for rank, answer in enumerate(answers):
        if not answer["identical"]:
            return {**answer, "first_difference": f"rank {rank}: {answer['first_difference']}"}
    return answers[0]


_OF_ROUNDS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "samples": sum,
    "seconds": max,
    "steady_seconds": max,
    "steady_samples": sum,
    "read_bytes": sum,
    "resident_before": min,
}

MERGED: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "round": _round,
    "fit_batches": max,
    "cpu_of_round": sum,
    "time_to_first_batch": max,
    "audit": _audit,
    # All ranks decode at once, and share the cores.
    "decode": lambda answers: {
        "samples": sum(each["samples"] for each in answers),
        "seconds": max(each["seconds"] for each in answers),
    },
    "epoch_boundaries": lambda answers: [max(each) for each in zip(*answers, strict=True)],
    "weights": lambda answers: len(set(answers)) == 1,
}
"""Request -> what is made of the answers of all ranks; of others, that of rank 0."""
