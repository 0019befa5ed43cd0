"""Words how a run ended before its end: it raised, hung or was ended."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from keras_loader_bench.loaders.audit.parent import AuditRun, limit_s
from keras_loader_bench.loaders.audit.texts.words import NAMES, Finding, bridged, stage_name
from keras_loader_bench.loaders.system.process_tree import signal_name


def ending(run: AuditRun, timeout_s: float, *, second: bool) -> Iterator[Finding]:
    """Yield what ended a run before its end.

    Args:
        run: the run.
        timeout_s: time limit of a stage in seconds.
        second: whether it is the second run.
    """
    where = " in the second run" if second else ""
    told = set()
    refused = [*_refused(run)]
    yield from refused if not second else []
    for event in run.all("raised") if not refused else []:
        name = stage_name(event["stage"])
        message = f": {event['message']}" if event["message"] else ""
        batches = event.get("batches")
        after = f" (after {batches:,} batch{'es' if batches > 1 else ''})" if batches else ""
        text = f"{event['type']}{message}"
        verbatim = "" if text in told else event["traceback"]
        told.add(text)
        yield Finding(text=f"{name} raised{where} {text}{after}", verbatim=verbatim)
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


def _printed(log: str) -> str:
    """Remove the lines that the runtimes of TensorFlow and JAX always print."""
    chatter = re.compile(r"[IWE]0000 00:00:|WARNING: All log messages before absl::")
    return "\n".join(line for line in log.splitlines() if not chatter.match(line))


def _exit(status: int) -> str:
    if status >= 0:
        return f"with exit status {status}"
    name = signal_name(-status)
    return f"by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"
