"""Lays out the result of an audit on the terminal, and decides the exit status."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from keras_loader_bench.loaders.audit.inputs.epochs import SHUFFLED
from keras_loader_bench.loaders.audit.parent import AuditRun, Event
from keras_loader_bench.loaders.audit.texts.explain import (
    differing,
    findings,
    known_failure,
)
from keras_loader_bench.loaders.audit.texts.notes import not_judged, notes
from keras_loader_bench.loaders.audit.texts.words import NAMES, STAGES, Finding, bridged

WIDTH = 100

PROMISES = {
    "ordered": "the same batches twice",
    "shuffled": "the same samples, shuffled",
    "drops_last": "less than a batch left out",
    "other_contents": "different contents each time",
}
"""Words for what two readings without Keras have in common."""

FAULTLESS = {
    "ordered": "identical",
    "shuffled": "complete",
    "drops_last": "complete",
    "other_contents": "cannot be judged",
}
"""Words for a pass without problems, by what could be checked."""

REMEDY = (
    "Remedy: `from keras_loader_bench.loaders import bridge` and `{line}`{without}. Its `workers` "
    "threads deliver every batch once and in order. Without the bridge, use `workers=1`, Keras' "
    "default."
)


def render(target: str, runs: Sequence[AuditRun], timeout_s: float) -> tuple[str, int]:
    """Return the text for the terminal and the exit status.

    Args:
        target: `module:attribute`.
        runs: the runs: two, or one that did not finish.
        timeout_s: time limit of a run in seconds.

    Returns:
        The text, and the exit status: 0 without problems, 1 with problems, 2 if the input could
        not be loaded, 3 if its contents could not be judged and nothing else is wrong.
    """
    first = runs[0]
    if refused := next((run.event("refused") for run in runs if run.event("refused")), None):
        return wrap(clean(f"error: {refused['message']}")), 2
    problems = findings(runs, timeout_s)
    if not first.event("input") or not first.event("environment"):
        text = "\n\n".join(map(_finding, problems))
        return clean(f"error: {text.replace(STAGES['load'], f'loading `{target}`', 1)}"), 2
    blocks = [_heading(target, first), _table(runs), *map(_finding, problems)]
    if known := known_failure(first):
        blocks += [wrap(f"This is known: {known.reason} {known.link}"), wrap(_remedy(first))]
    unjudged = not_judged(first)
    blocks += [wrap(text) for text in (unjudged, *(f"Note: {note}" for note in notes(first)))]
    count = len(problems)
    blocks.append(f"{count} problem{'s' if count > 1 else ''}" if count else _faultless(first))
    status = 1 if problems else 3 if unjudged else 0
    return clean("\n\n".join(filter(None, blocks))), status


def clean(text: str) -> str:
    """Return text as printable ASCII, so that an input cannot control the terminal."""
    text = text.expandtabs().encode("ascii", "backslashreplace").decode()
    return "".join(c if c == "\n" or c.isprintable() else "?" for c in text)


def wrap(text: str) -> str:
    """Wrap a text without breaking words, so that addresses stay intact."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _faultless(run: AuditRun) -> str:
    about = run.event("input") or {}
    part = f"first {about['steps']:,} batches of the " if about["first"] else ""
    passes = run.all("pass")
    if not_judged(run):
        labels = ", labels" if any(event["by"] == "labels" for event in passes) else ""
        return f"not judged: the contents; numbers, shapes{labels} and dtypes agree in every pass"
    but = ", except for the dtype" if any(event["dtypes"] for event in passes) else ""
    if all(event["promise"] == "ordered" for event in passes):
        return (
            f"identical{but}: every pass got the {part or 'batches of the '}direct read, in order"
        )
    if any(event["promise"] == "drops_last" for event in passes):
        but += ", except for less than a batch"
    return f"complete{but}: every pass got the samples of the {part}direct read"


def _remedy(run: AuditRun) -> str:
    about = run.event("input") or {}
    without = ", without `use_multiprocessing`" if about["use_multiprocessing"] else ""
    return REMEDY.format(line=bridged(about), without=without)


def _finding(finding: Finding) -> str:
    text = wrap(finding.text)
    return (
        f"{text}\n\n{textwrap.indent(finding.verbatim.rstrip(), '    ')}"
        if finding.verbatim
        else text
    )


def _heading(target: str, run: AuditRun) -> str:
    about, reading = run.event("input") or {}, run.event("reading")
    kind = about["kind"]
    article = "" if kind == "arrays" else "a "
    what = article + kind if about["type"] == kind else f"{about['type']}, a {kind}"
    if about.get("workers") is not None:
        processes = ", use_multiprocessing=True" if about["use_multiprocessing"] else ""
        what += f" with workers={about['workers']}{processes}"
    size = f"; {_size(reading)}" if reading else ""
    environment = run.event("environment") or {}
    backend = NAMES.get(environment["backend"], environment["backend"])
    arguments = [*about["arguments"], "epochs=1" if about["fits"] > 1 else "epochs=2"]
    arguments += [f"steps_per_epoch={about['steps']}"] if about["steps"] else []
    arguments += [f"shuffle={about['shuffle']}"] if kind in SHUFFLED else []
    return "\n".join(
        [
            wrap(f"{target}: {what}{size}"),
            f"Keras {environment['keras']} on {backend} {environment['version']}; "
            f"fit({', '.join(arguments)})",
        ]
    )


def _size(reading: Event) -> str:
    sizes, samples = reading["sizes"], reading["samples"]
    if len(set(sizes)) == 1:
        of = f"of {sizes[0]}"
    elif len(set(sizes[:-1])) == 1:
        of = f"of {sizes[0]}, the last of {sizes[-1]}"
    else:
        of = f"of {min(sizes)} to {max(sizes)}"
    batches = f"{len(sizes):,} {'batches' if len(sizes) > 1 else 'batch'}"
    return f"{batches} {of}, {samples:,} samples"


def _table(runs: Sequence[AuditRun]) -> str:
    first = runs[0]
    rows = [("pass", "batches", "missing", "repeated", "verdict")]
    if reading := first.event("reading"):
        rows.append(
            ("direct read", f"{reading['batches']:,}", "", "", PROMISES[reading["promise"]])
        )
    passes = {event["name"]: event for event in first.all("pass")}
    rows += [_row(event) for event in passes.values()]
    rows += [
        (_pass(event["stage"]), "", "", "", f"raised {event['type']}")
        for event in first.all("raised")
    ]
    stage = first.event("stage")
    if not first.event("end") and not first.event("raised") and stage:
        how = "did not finish" if first.timed_out else "ended the process"
        rows.append((_pass(stage["name"]), "", "", "", how))
    if len(runs) > 1:
        rows.append(("second run", "", "", "", _second(runs)))
    return laid_out(rows)


def laid_out(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table: names on the left, numbers on the right, a verdict behind them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, verdict in rows:
        right = [f"  {n:>{width}}" for n, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append(f"{name:<{widths[0]}}{''.join(right)}  {verdict}")
    return "\n".join(lines)


def _pass(stage: str) -> str:
    return "direct read" if stage == "by hand" else stage


def _row(event: Event) -> tuple[str, str, str, str, str]:
    judged = event["promise"] != "other_contents" or event["by"] == "labels"
    missing, repeated = (_count(event, kind) if judged else "?" for kind in ("missing", "repeated"))
    return event["name"], f"{event['batches']:,}", missing, repeated, _verdict(event)


def _count(event: Event, kind: str) -> str:
    batches, samples = event[f"{kind}_batches"], event[f"{kind}_samples"]
    return f"{samples:,} samples" if samples and not batches else f"{len(batches):,}"


def _verdict(event: Event) -> str:
    if event["verdict"] != "identical":
        return str(event["verdict"]).replace("_", " ")
    if not event.get("outputs_in_order", True):
        return "outputs in another order"
    if event["by"] == "labels":
        return "labels agree"
    return FAULTLESS[event["promise"]]


def _second(runs: Sequence[AuditRun]) -> str:
    if not runs[1].event("end") or runs[1].event("raised"):
        return "failed"
    return "different batches" if differing(runs) else "same batches"
