"""Words the problems that an audit found: which batches, the first difference, what to do."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_loader_bench.loaders.audit.parent import AuditRun, Event, limit_s
from keras_loader_bench.loaders.registry import LOADERS, KnownFailure
from keras_loader_bench.loaders.system.process_tree import signal_name

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


def findings(runs: Sequence[AuditRun], timeout_s: float) -> list[Finding]:
    """Return all problems, in the order of the passes."""
    found = [*_sizes(runs[0])]
    found += [f for event in runs[0].all("pass") for f in _pass(event)]
    found += [f for i, run in enumerate(runs) for f in _ending(run, timeout_s, second=i > 0)]
    return [*found, *_between(runs)]


def known_failure(run: AuditRun) -> KnownFailure | None:
    """Return the known failure of Keras if it explains the problems."""
    about, environment = run.event("input") or {}, run.event("environment") or {}
    known = LOADERS["stock_sequence"].known_failure
    workers = about.get("workers") or 0
    parallel = workers > 1 or (workers > 0 and about.get("use_multiprocessing"))
    wrong = {p["verdict"] for p in run.all("pass")} & {
        "missing_or_repeated",
        "other_order",
        "shifted",
    }
    if known and parallel and wrong and environment.get("backend") in known.backends:
        return known
    return None


def ranges(numbers: Sequence[int], most: int = 6) -> str:
    """Return the first few numbers in ascending order, as `0-10, 17`."""
    unique = sorted(set(numbers))
    pairs = groupby(enumerate(unique), key=lambda pair: pair[1] - pair[0])
    groups = [[number for _, number in group] for _, group in pairs]
    shown = [f"{g[0]}-{g[-1]}" if len(g) > 1 else str(g[0]) for g in groups[:most]]
    rest = sum(len(group) for group in groups[most:])
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _sizes(run: AuditRun) -> Iterator[Finding]:
    reading, about = run.event("reading"), run.event("input") or {}
    if not reading:
        return
    if empty := [number for number, size in enumerate(reading["sizes"]) if not size]:
        have = "batches {} have" if len(empty) > 1 else "batch {} has"
        yield Finding(
            text=f"Read directly, {have.format(ranges(empty))} no samples; a mean over no samples "
            "is not a number, so a loss may become NaN. Do not yield empty batches."
        )
    if about.get("samples") and (said := left_out(about["samples"], reading)):
        yield Finding(text=f"Read directly, {said} (--samples {about['samples']}).")


def left_out(samples: int, reading: Event) -> str:
    """Say how many samples an epoch leaves out, or has too many; empty: neither.

    Args:
        samples: how many the input should have.
        reading: the direct reading.
    """
    came = reading["epoch_samples"]
    if came == samples:
        return ""
    off = f"{abs(samples - came):,} {'are left out' if came < samples else 'more than there are'}"
    return f"the batches of an epoch hold {came:,} of {samples:,} samples: {off}"


def _pass(event: Event) -> Iterator[Finding]:
    name, verdict = event["name"], event["verdict"]
    first = (event["difference"] or "").replace("the reference", "the direct reading")
    first = re.sub(r"^(batch \d+): (is|has|came|never)\b", r"\1 \2", first)
    first_difference = f" First difference: {first}." if first else ""
    if verdict == "missing_or_repeated":
        yield Finding(text=f"{name}: {_missing(event)}.{first_difference}")
    elif verdict == "shifted":
        yield Finding(text=f"{name}: {first}.")
    elif verdict == "other_order":
        yield Finding(text=f"{name}: every sample came, but in another order.{first_difference}")
    elif verdict == "other_values":
        yield Finding(text=f"{name}: values differ from the direct reading.{first_difference}")
    elif verdict == "other_dtype_or_shape":
        yield Finding(
            text=f"{name}: dtype or shape differs from the direct reading.{first_difference}"
        )
    if not event.get("outputs_in_order", True):
        yield Finding(text=f"{name}: the outputs were returned in another order than the inputs.")


def _missing(event: Event) -> str:
    parts = []
    for kind, what in (("missing", "never came"), ("repeated", "came more than once")):
        batches, samples = event[f"{kind}_batches"], event[f"{kind}_samples"]
        if batches:
            parts.append(f"{'batches' if len(set(batches)) > 1 else 'batch'} {ranges(batches)}")
        elif samples:
            parts.append(f"{samples:,} {'samples' if samples > 1 else 'sample'}")
        if batches or samples:
            parts[-1] += f" {what}"
    return " and ".join(parts)


def _ending(run: AuditRun, timeout_s: float, *, second: bool) -> Iterator[Finding]:
    where = " in the second run" if second else ""
    told = set()
    refused = [*_refused(run)]
    yield from refused if not second else []
    for event in run.all("raised") if not refused else []:
        name = stage_name(event["stage"])
        message = f": {event['message']}" if event["message"] else ""
        text = f"{event['type']}{message}"
        verbatim = "" if text in told else event["traceback"]
        told.add(text)
        yield Finding(text=f"{name} raised{where} {text}", verbatim=verbatim)
    if run.event("end") or run.event("refused"):
        return
    event = run.event("stage") or {"name": "keras"}
    stage = stage_name(event["name"])
    if run.timed_out:
        yield Finding(
            text=f"{stage} did not finish within {limit_s(event, timeout_s):.0f} s{where}; use a "
            "larger --timeout if it is only slow, or --batches N to look at the first batches."
            f"{_hanging(run)}"
        )
    elif not run.event("raised"):
        yield Finding(
            text=f"{stage} ended the process{where} {_exit(run.exit_status)}; its last output was:",
            verbatim=_printed(run.log) or "(nothing)",
        )


def _refused(run: AuditRun) -> Iterator[Finding]:
    """Say of which fields the backend makes no tensor, if a pass raised."""
    reading, raised = run.event("reading") or {}, run.all("raised")
    if not raised or not reading.get("refused"):
        return
    stages = [f"`{event['stage']}`" for event in raised]
    names = " and ".join(filter(None, [", ".join(stages[:-1]), stages[-1]]))
    backend = (run.event("environment") or {}).get("backend", "")
    fields = ", ".join(
        f"`{name}` ({reading['specs'].get(name, '?')})" for name in reading["refused"]
    )
    message = re.sub(r"\{\{.*?\}\} ?", "", raised[0]["message"])  # TensorFlow's names of nodes
    message = textwrap.shorten(message, 100, placeholder=" ...").rstrip(".")
    yield Finding(
        text=f"{names} on {NAMES.get(backend, backend)} cannot be given {fields}, of which Keras "
        f"makes no tensor ({raised[0]['type']}: {message}); convert it in the input."
    )


def _hanging(run: AuditRun) -> str:
    about = run.event("input") or {}
    if about.get("length") == "unknown" and not run.event("reading"):
        return " An endless input needs --steps-per-epoch N."
    if about.get("use_multiprocessing"):
        return (
            " With `use_multiprocessing`, Keras waits forever for a worker that died: read on "
            f"threads, `{bridged(about)}` after removing `use_multiprocessing`."
        )
    if workers := about.get("started_anew"):
        return (
            f" The DataLoader starts its {workers} processes anew for each pass, and each imports "
            "the modules of its data set again: keep heavy imports out of these, or use "
            "persistent_workers=True."
        )
    return ""


def bridged(about: Event) -> str:
    """Return the line that feeds an input through the bridge."""
    return f"model.fit(bridge({about['expression']}), ...)"


def _printed(log: str) -> str:
    """Remove the lines that the runtimes of TensorFlow and JAX always print."""
    chatter = re.compile(r"[IWE]0000 00:00:|WARNING: All log messages before absl::")
    return "\n".join(line for line in log.splitlines() if not chatter.match(line))


def stage_name(name: str) -> str:
    """Return what a stage is called in a sentence."""
    return STAGES.get(name, f"`{name}`")


def _exit(status: int) -> str:
    if status >= 0:
        return f"with exit status {status}"
    name = signal_name(-status)
    return f"by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def differing(runs: Sequence[AuditRun]) -> tuple[Event, Event] | None:
    """Return the first reading or pass that differs between two complete runs, one per run."""
    if len(runs) < 2 or not all(run.event("end") for run in runs):
        return None
    one, two = ([*run.all("reading"), *run.all("pass")] for run in runs)
    pairs = zip(one, two, strict=False)
    return next((pair for pair in pairs if pair[0]["digests"] != pair[1]["digests"]), None)


def random_contents(run: AuditRun) -> bool:
    """Return whether contents could not be judged, because no two readings have the same."""
    return (run.event("reading") or {}).get("promise") == "other_contents"


def _between(runs: Sequence[AuditRun]) -> Iterator[Finding]:
    if not (pair := differing(runs)) or random_contents(runs[0]):
        return  # random contents may differ between runs, as they do between readings
    event, other = pair
    same = event["content"] == other["content"]
    what = "the same samples in another order" if same else "other samples"
    digests = zip(event["digests"], other["digests"], strict=False)
    number = next((i for i, (a, b) in enumerate(digests) if a != b), None)
    at = "" if number is None else f", from batch {number} on"
    if event["event"] == "reading":
        yield Finding(
            text=f"Two runs with the same seed differ: read directly, the second had {what}{at}. "
            "Seed every random generator of the input. Seeds from the clock or the system and the "
            "order of sets differ between processes."
        )
    else:
        yield Finding(
            text=f"Two runs with the same seed differ, although direct readings do not: in "
            f"`{event['name']}` the second run got {what}{at}."
        )
