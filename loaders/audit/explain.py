"""Words the problems that an audit found: which batches, the first difference, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_loader_bench.loaders.audit.parent import AuditRun, Event, limit_s
from keras_loader_bench.loaders.registry import LOADERS, KnownFailure
from keras_loader_bench.loaders.system.process_tree import signal_name

STAGES = {"keras": "importing Keras", "load": "loading it", "by hand": "reading it directly"}
"""Stages of a run that are not methods of Keras."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem."""

    text: str
    verbatim: str = ""
    """A traceback, or the last output."""


def findings(runs: Sequence[AuditRun], timeout_s: float) -> list[Finding]:
    """Return all problems, in the order of the passes."""
    reading = runs[0].event("reading")
    found = [*_contents(reading)] if reading else []
    found += [f for event in runs[0].all("pass") for f in _pass(event)]
    found += [f for i, run in enumerate(runs) for f in _ending(run, timeout_s, second=i > 0)]
    return [*found, *_between(runs)]


def notes(run: AuditRun) -> Iterator[str]:
    """Yield remarks on an audit that are not problems."""
    about, reading = run.event("input") or {}, run.event("reading") or {}
    passes = run.all("pass")
    narrowed = {n: dtypes for p in passes for n, dtypes in p["dtypes"].items()}
    rounded = {name for p in passes for name in p["rounded"]}
    for name, (yields, given) in narrowed.items():
        if name not in rounded:
            yield f"{_given(name, yields, given)}; no value changes."
    if doubles := reading.get("doubles"):
        again, first = doubles[0]
        rest = f", and {len(doubles) - 1} more like it" if len(doubles) > 1 else ""
        yield (
            f"the input itself repeats: read directly, batch {again} equals batch {first}{rest}."
        )
    if about.get("first"):
        yield (
            f"only the first {about['steps']:,} batches of each pass were audited (--batches), and "
            "each epoch is a separate `fit`."
        )
    elif about.get("fits", 1) > 1:
        yield "a generator can be read only once, so each epoch is a separate `fit` with a new one."
    if reading.get("promise") == "shuffled":
        yield (
            "the input shuffles, so the audit checks how often each sample comes, not the order."
        )
    elif about.get("kind") == "arrays":
        how = "shuffles them by default; use --no-shuffle to check the order too"
        yield "Keras itself makes the batches of arrays, of 32 samples by default" + (
            f", and {how}." if about["shuffle"] else "."
        )
    elif reading.get("promise") == "ordered" and about.get("shuffle"):
        yield (
            "`fit` shuffles the batches of a PyDataset by default; use --no-shuffle to check the "
            "order too."
        )
    if reading.get("promise") == "drops_last":
        yield (
            "each reading leaves out different samples, less than a batch, as shuffling with "
            "`drop_last` does; as many may be missing from a pass."
        )


def known_failure(run: AuditRun) -> KnownFailure | None:
    """Return the known failure of Keras if it explains the problems."""
    about, environment = run.event("input") or {}, run.event("environment") or {}
    known = LOADERS["stock_sequence"].known_failure
    workers = about.get("workers") or 0
    parallel = workers > 1 or (workers > 0 and about.get("use_multiprocessing"))
    wrong = {p["verdict"] for p in run.all("pass")} & {"missing_or_repeated", "other_order"}
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


def _contents(reading: Event) -> Iterator[Finding]:
    if reading["promise"] == "other_contents":
        yield Finding(
            text="Batches cannot be identified: two direct readings of the input had different "
            "contents. If it augments at random, audit it without augmentation, or seed the random "
            "numbers per sample. If every epoch has other samples, audit a single epoch."
        )


def _pass(event: Event) -> Iterator[Finding]:
    name, verdict = event["name"], event["verdict"]
    first = (event["difference"] or "").replace("the reference", "the direct reading")
    first = re.sub(r"^(batch \d+): (is|has|came|never)\b", r"\1 \2", first)
    first_difference = f" First difference: {first}." if first else ""
    if event["rounded"]:
        for array in event["rounded"]:
            given = _given(array, *event["dtypes"][array])
            yield Finding(
                text=f"{name}: {given}, and values are rounded. Yield that dtype if intended."
            )
        if verdict == "other_dtype_or_shape":
            return
    if verdict == "missing_or_repeated":
        yield Finding(text=f"{name}: {_missing(event)}.{first_difference}")
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


def _given(name: str, yields: str, given: str) -> str:
    return f"the model gets `{name}` as {given}, but the input yields {yields}"


def _ending(run: AuditRun, timeout_s: float, *, second: bool) -> Iterator[Finding]:
    where = " in the second run" if second else ""
    told = set()
    for event in run.all("raised"):
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


def _between(runs: Sequence[AuditRun]) -> Iterator[Finding]:
    if not (pair := differing(runs)):
        return
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
