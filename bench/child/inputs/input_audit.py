"""Audits a user's input in the process of a case: what `keras-loader-bench audit` does, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from keras_loader_bench.loaders.audit.batches.verdict import PassResult
from keras_loader_bench.loaders.audit.inputs.target import Target, load_target
from keras_loader_bench.loaders.audit.passes import AuditedInput
from keras_loader_bench.loaders.system.text import shown

PASSES = ("fit", "evaluate", "predict")

_FIELDS = {field.name for field in dataclasses.fields(PassResult)}


def audit_input(
    name: str,
    *,
    batches: int | None = None,
    on_batch: Callable[[], None] = lambda: None,
    fed: Callable[[], dict[str, Any]] | None = None,
    made: Callable[[], Any] | None = None,
    ordered: bool = False,
    passes: Sequence[str] = PASSES,
) -> dict[str, Any]:
    """Read an input directly, and let fresh models record what Keras gives them of it.

    Args:
        name: `module:attribute`.
        batches: how many of each pass are looked at; `None`: all.
        on_batch: called now and then while batches are recorded.
        fed: returns the arguments of `fit` for what it is given in its place, whose batches should
            be the same; `None`: the input itself.
        made: returns what is audited in place of the input: one that is made of it and has other
            batches; `None`: the input.
        ordered: whether it is known to give the same batches each time; it is read once then.
        passes: which of `PASSES` are recorded.

    Returns:
        The fields of `bench.record.audit_record.AuditRecord`. `identical` says that no pass lost,
        repeated or changed anything; an input that shuffles may give its batches in any order.
    """
    events: list[dict[str, Any]] = []

    def report(event: str, **fields: Any) -> None:
        on_batch()
        events.append({"event": event, **fields})

    target = load_target(name) if made is None else Target(name=name, make=made, made=True)
    subject = AuditedInput(target, report, batches=batches, ordered=ordered)
    subject.read_by_hand()
    if fed is not None:
        subject.feed(fed)
    for stage in passes:
        getattr(subject, stage)()
    found = [event for event in events if event["event"] == "pass"]
    (reading,) = [event for event in events if event["event"] == "reading"]
    wrong = [(each["verdict"], f"{each['name']}, {_difference(each)}") for each in found]
    wrong = [(verdict, text) for verdict, text in wrong if verdict != "identical"]
    if not all(each.get("outputs_in_order", True) for each in found):
        wrong.append(("other_order", "predict, outputs in another order than its batches"))
    if 0 in reading["sizes"]:  # a mean over no samples is no number
        wrong.append(("other_dtype_or_shape", f"batch {reading['sizes'].index(0)} has no samples"))
    return {
        "verdict": wrong[0][0] if wrong else "identical",
        "identical": not wrong,
        "promise": reading["promise"],
        "by": found[0]["by"],
        "batches": found[0]["expected_batches"],
        "samples": found[0]["expected_samples"],
        "first_difference": shown(wrong[0][1]) if wrong else None,
        "passes": [_recorded(each) for each in found],
    }


def _recorded(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a `PassResult`."""
    fields = {name: event[name] for name in _FIELDS if name in event}
    return fields | {"difference": event["difference"] and shown(event["difference"])}


def _difference(event: dict[str, Any]) -> str:
    missing, repeated = len(event["missing_batches"]), len(event["repeated_batches"])
    if missing or repeated:
        return f"{missing} of {event['expected_batches']} batches missing, {repeated} repeated"
    return str(event["difference"] or event["verdict"].replace("_", " "))
