"""Words what an audit found that is no problem, and what it could not judge."""

from __future__ import annotations

from collections.abc import Iterator

from keras_loader_bench.loaders.audit.parent import AuditRun
from keras_loader_bench.loaders.audit.texts.explain import left_out, random_contents


def notes(run: AuditRun) -> Iterator[str]:
    """Yield remarks on an audit that are not problems."""
    about, reading = run.event("input") or {}, run.event("reading") or {}
    passes = run.all("pass")
    other_dtypes = {n: dtypes for p in passes for n, dtypes in p["dtypes"].items()}
    converted = {name for p in passes for name in p["converted"]}
    same_values = all(p["verdict"] != "other_values" for p in passes)
    for name, (yields, given) in other_dtypes.items():
        values = "; no value changes" if same_values else ""
        if name in converted:
            values = "; its values are rounded to that, as layers of 32 bits do on every backend"
            if yields.startswith("ragged"):
                values = "; Keras fills its rows up with zeros"
        yield f"the model gets `{name}` as {given}, but the input yields {yields}{values}."
    identify = about.get("identify")
    if identify:
        yield (
            f"samples are recognised by `{identify}` alone; where `predict` is not given it, only "
            "their number is checked."
        )
    known = about.get("known_samples")
    whole = reading and not about.get("samples") and not about.get("steps")
    if known and whole and (said := left_out(known, reading)):
        yield f"{said}, by the length of the data set; use --samples N to make it a problem."
    if (doubles := reading.get("doubles")) and not identify:
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


def not_judged(run: AuditRun) -> str:
    """Say what could not be judged, and what was checked instead; empty: all was judged."""
    if not random_contents(run):
        return ""
    identify = (run.event("input") or {}).get("identify")
    what = f"`{identify}`" if identify else "contents"
    by = {event["by"] for event in run.all("pass")}
    labels = ", and the labels by content" if "labels" in by else ""
    first = (run.event("input") or {}).get("first")
    remedy = (
        "Name a field that is the same in each reading."
        if identify
        else "An input that shuffles begins each pass with other samples: leave --batches out, or "
        "name what does not shuffle."
        if first
        else "If it augments at random, name a field that it leaves alone, such as a label or an "
        "id, with --identify FIELD, or audit it without augmentation. If every epoch has other "
        "samples, audit a single epoch."
    )
    return (
        f"Contents cannot be judged: two direct readings of the input had different {what}. "
        f"Checked were the numbers of batches and samples, dtypes and shapes{labels}. {remedy}"
    )
