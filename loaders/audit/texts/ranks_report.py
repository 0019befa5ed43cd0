"""Lays out on the terminal what the ranks of an audit trained on, and decides the exit status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keras_loader_bench.loaders.audit.parent import AuditRun
from keras_loader_bench.loaders.audit.ranks import OTHERS_MAY_TAKE_S, succeeded
from keras_loader_bench.loaders.audit.shares import (
    Batches,
    Shares,
    never_given,
    same_epochs,
    shares_of,
)
from keras_loader_bench.loaders.audit.texts.endings import ending
from keras_loader_bench.loaders.audit.texts.explain import findings
from keras_loader_bench.loaders.audit.texts.terminal import clean, laid_out, wrap
from keras_loader_bench.loaders.audit.texts.words import NAMES, Finding

READINGS = ("direct read, epoch 1", "direct read, epoch 2")
EPOCHS = ("fit, epoch 1", "fit, epoch 2")

_SHARD = {
    "PyDataset": "give each rank a part: `bridge({expression}, shard=(rank, ranks))`",
    "torch DataLoader": "give the `DataLoader` a `DistributedSampler`, and call its `set_epoch`",
    "tf.data dataset": "call `.shard(ranks, rank)` before `.batch`",
}
_ANY = "let each rank take a part of the samples by RANK and WORLD_SIZE, from one seeded order"


def render_ranks(
    target: str, alone: AuditRun, runs: Sequence[AuditRun | None], timeout_s: float
) -> tuple[str, int]:
    """Return the text for the terminal and the exit status.

    Args:
        target: `module:attribute`.
        alone: the run of the only rank.
        runs: those of all ranks; `None`: it was ended.
        timeout_s: time limit of a stage in seconds.

    Returns:
        The text, and the exit status: 0 if all ranks together train on every sample once, 1 if
        not, 2 if the input could not be loaded.
    """
    whole = _passes(alone)
    if not succeeded(alone) or READINGS[0] not in whole:
        problems = [*_refusal(alone), *findings([alone], timeout_s)]
        return clean("\n\n".join(f"error: {_text(each)}" for each in problems[:1])), 2
    failed = list(_failures(runs, timeout_s))
    if failed:
        blocks = [_heading(target, alone, len(runs)), *map(_text, failed)]
        return clean("\n\n".join([*blocks, _count(len(failed))])), 1
    given = [_passes(each) for each in runs if each]
    epochs = [[each.get(name, [[]])[0] for each in given] for name in EPOCHS]
    shares = [
        shares_of(name, _alike(whole[reading], ranks), ranks)
        for reading, name, ranks in zip(READINGS, EPOCHS, epochs, strict=True)
    ]
    problems = [*_problems(alone, shares), *_within(runs, timeout_s)]
    notes = _notes(whole[READINGS[0]][0], epochs, shares)
    blocks = [_heading(target, alone, len(runs)), _table(shares), *map(_text, problems)]
    blocks += [wrap(f"Note: {note}") for note in notes]
    blocks.append(_count(len(problems)) if problems else _faultless(len(runs)))
    return clean("\n\n".join(blocks)), 1 if problems else 0


def _passes(run: AuditRun) -> dict[str, list[list[list[str]]]]:
    """Return what was sent of each pass; of a direct reading also as backends without 64 bits."""
    found: dict[str, list[list[list[str]]]] = {}
    begin = True
    for event in run.all("samples"):
        of_name = found.setdefault(event["name"], [])
        if begin:
            of_name.append([])
        of_name[-1] += event["batches"]
        begin = event["last"]
    return found


def _alike(readings: Sequence[Batches], ranks: Sequence[Batches]) -> Batches:
    """Return the reading, converted or not, that has more of the samples of the ranks."""
    given = {sample for each in ranks for batch in each for sample in batch}
    return max(readings, key=lambda each: len(given & {s for batch in each for s in batch}))


def _failures(runs: Sequence[AuditRun | None], timeout_s: float) -> Iterator[Finding]:
    """Say of each rank that did not get to its end how it ended; the others waited for it."""
    for rank, run in enumerate(runs):
        if run is not None and not succeeded(run):
            for each in [*_refusal(run), *ending(run, timeout_s, second=False)]:
                yield Finding(text=f"Rank {rank}: {each.text}", verbatim=each.verbatim)
    if ended := [str(rank) for rank, run in enumerate(runs) if run is None]:
        which = f"Rank {ended[0]} was" if len(ended) == 1 else f"Ranks {', '.join(ended)} were"
        yield Finding(
            text=f"{which} ended {OTHERS_MAY_TAKE_S:.0f} s later, or left no result in time."
        )


def _refusal(run: AuditRun) -> list[Finding]:
    """Say why an input could not be loaded; nothing where it was."""
    refused = run.event("refused")
    return [Finding(text=str(refused["message"]))] if refused else []


def _within(runs: Sequence[AuditRun | None], timeout_s: float) -> Iterator[Finding]:
    """Say where `fit` gave a rank other batches than the rank's own direct reading."""
    for rank, run in enumerate(runs):
        if run is not None:
            for each in findings([run], timeout_s):
                yield Finding(text=f"Rank {rank}: {each.text}", verbatim=each.verbatim)


def _problems(alone: AuditRun, shares: Sequence[Shares]) -> Iterator[Finding]:
    about = alone.event("input") or {}
    shard = _SHARD.get(about.get("kind", ""), _ANY).format(expression=about.get("expression", ""))
    everything = [each for each in shares if each.all_had_all]
    if everything:
        yield Finding(
            text=f"Every rank trains on the whole input: all {everything[0].expected:,} samples "
            f"came on each of the {len(everything[0].steps)} ranks in "
            f"{_names(everything)}. Keras shards nothing but `tf.data` datasets; {shard}."
        )
    passes: dict[str, list[str]] = {}
    for each in shares:
        for text in _of_pass(each):
            passes.setdefault(text, []).append(each.name)
    for text, names in passes.items():
        yield Finding(text=f"{' and '.join(names)}: {text}")


def _of_pass(each: Shares) -> Iterator[str]:
    """Yield what is wrong in one pass, without its name."""
    if each.shared and not each.all_had_all:
        them = "it" if each.shared == 1 else "them"
        came = f"{_samples(each.shared)} came on a rank although another one had {them} too"
        if each.shared < len(each.steps) and not each.missing:
            yield (
                f"{came}. They are fewer than there are ranks: as where a sampler fills up the "
                "last step; `drop_last=True` leaves samples out instead."
            )
        else:
            yield (
                f"{came}. Nothing was seeded here: let all draw one order from a seed of the "
                "input's own, and cut that."
            )
    if each.repeated:
        yield f"{_samples(each.repeated)} came again on one rank."
    if each.missing and not _left_over(each):
        yield f"{_samples(each.missing)} of {each.expected:,} came on no rank."
    if each.strangers:
        yield (
            f"{_samples(each.strangers)} came that the only rank does not read; `--identify FIELD` "
            "recognises samples whose values are random."
        )
    if each.unequal_steps:
        steps = ", ".join(f"{n:,} on rank {rank}" for rank, n in enumerate(each.steps))
        yield (
            f"ranks took different numbers of steps: {steps}. Where they wait for each other in "
            "every step, training hangs at the end of the epoch."
        )


def _left_over(each: Shares) -> bool:
    """Return whether what came on no rank is what fills no global batch."""
    return each.missing < len(each.steps) * -(-max(each.samples) // max(1, *each.steps))


def _notes(
    whole: Batches, epochs: Sequence[Sequence[Batches]], shares: Sequence[Shares]
) -> Iterator[str]:
    left = [each for each in shares if each.missing and _left_over(each)]
    if left:
        never = never_given(whole, epochs)
        same = f", and {_samples(never)} in neither epoch" if never else ""
        yield (
            f"{_samples(left[0].missing)} came on no rank in {_names(left)}{same}: fewer than a "
            "global batch."
        )
    if same_epochs(*epochs):
        yield (
            "every rank had the same samples in the same order in both epochs; a "
            "`DistributedSampler` needs `set_epoch`."
        )
    for each in shares:
        if each.uneven_step is not None:
            yield (
                f"{each.name}: in step {each.uneven_step} ranks had unequal numbers of samples; "
                "JAX can make no global batch of them, and torch gives their means equal weight."
            )


def _heading(target: str, alone: AuditRun, ranks: int) -> str:
    environment, reading = alone.event("environment") or {}, alone.event("reading") or {}
    backend = NAMES.get(environment.get("backend", ""), environment.get("backend", ""))
    batches, samples = reading.get("batches", 0), reading.get("samples", 0)
    return (
        f"{target} on {ranks} ranks; as the only rank it has {batches:,} batches, {samples:,} "
        f"samples\nKeras {environment.get('keras')} on {backend} {environment.get('version')}; "
        "each rank: fit(x, epochs=2), nothing seeded"
    )


def _table(shares: Sequence[Shares]) -> str:
    rows = [("pass", "steps", "samples", "on no rank", "on several", "verdict")]
    for each in shares:
        steps, samples = (_per_rank(values) for values in (each.steps, each.samples))
        counts = f"{each.missing:,}", f"{each.shared:,}"
        rows.append((each.name, steps, samples, *counts, _verdict(each)))
    return laid_out(rows)


def _verdict(each: Shares) -> str:
    if each.right:
        return "every sample once"
    if each.all_had_all:
        return "every rank had everything"
    if each.unequal_steps:
        return "unequal steps"
    if each.shared or each.repeated:
        return "samples came twice"
    return "other samples" if each.strangers else "samples left out"


def _per_rank(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,} each" if low == high else f"{low:,} to {high:,}"


def _samples(count: int) -> str:
    return f"{count:,} sample{'s' if count > 1 else ''}"


def _names(shares: Sequence[Shares]) -> str:
    return " and ".join(each.name for each in shares)


def _text(finding: Finding) -> str:
    text = wrap(finding.text)
    return f"{text}\n\n{finding.verbatim.rstrip()}" if finding.verbatim else text


def _count(problems: int) -> str:
    return f"{problems} problem{'s' if problems > 1 else ''}"


def _faultless(ranks: int) -> str:
    return (
        f"every sample once: in both epochs the {ranks} ranks together trained on the samples of "
        "the only rank"
    )
