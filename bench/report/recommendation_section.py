"""Words a recommendation: the answer, its reasons, and what would change it."""

from __future__ import annotations

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown, code, fraction, mebibytes, prose, rate
from keras_loader_bench.bench.report.ranking import CASES, ranked_rates, ranked_utilizations
from keras_loader_bench.bench.report.recommend import Recommendation, same_footprint_limit
from keras_loader_bench.bench.report.row_options import describe


def recommendation_text(found: Recommendation) -> list[Markdown]:
    """Return Markdown sentences: the answer in bold, the reasons, what would change it."""
    place = _place(found)
    if found.row is None:
        reasons = _reasons(found.excluded)
        return [
            Markdown(f"**On this machine, with {place}: no loader can be recommended.**"),
            Markdown(f"{reasons} More rounds or a fix of what failed may change that."),
        ]
    answer = f"**On this machine, with {place}: use {code(found.row.label)}.** {_figures(found)}"
    return [Markdown(text) for text in (answer, _reason(found), _change(found)) if text]


def recommendation_title(found: Recommendation) -> Markdown:
    """Return the title of the reasons in bold, such as `jax, batch size 64: sequence`."""
    what = "no loader" if found.row is None else code(found.row.label)
    return Markdown(f"**{_place(found)}: {what}.**")


def _place(found: Recommendation) -> Markdown:
    row = found.rows[0]
    return prose(describe(row, without=("samples", *(["pixels"] * (row.pixels == "float32")))))


def _figures(found: Recommendation) -> str:
    row = found.row
    assert row is not None
    parts = []
    if row.feed is not None and row.feed.outcome == "ok" and row.feed.rate is not None:
        fed = f"It feeds {rate(row.feed.rate.median)} samples/s"
        if row.feed.utilization is not None:
            fed += f", {fraction(row.feed.utilization.median)} of the ceiling"
        parts.append(fed)
    size = row.footprint_bytes
    if size is not None:
        parts.append(f"{'in' if parts else 'It needs'} {mebibytes(size)} MiB")
    others = [
        (other_size, other)
        for other in found.rows
        if other is not row and (other_size := other.footprint_bytes) is not None
    ]
    if size is not None and others:
        largest, other = max(others, key=lambda pair: pair[0])
        if largest > same_footprint_limit(size):
            parts[-1] += f"; {code(other.label)} needs {mebibytes(largest)} MiB"
    return f"{', '.join(parts)}." if parts else ""


def _reason(found: Recommendation) -> str:
    row, case = found.row, found.case
    assert row is not None
    assert case is not None
    assert case.utilization is not None
    what = "AU of training" if found.bench == "train" else "AU of feed (training was not measured)"
    au = cells.interval(case.utilization, fraction)
    first = f"Its batches are proven identical, and its {what} is {au}"
    if not found.tied:
        alone = len(ranked_rates(found.rows, CASES[found.bench])) < 2
        return f"{first}, {'with no other loader to compare' if alone else 'ahead of all others'}."
    names = cells.enumeration([code(other.label) for other in found.tied])
    size = row.footprint_bytes
    sizes = [
        other for other in (other.footprint_bytes for other in found.tied) if other is not None
    ]
    by = "no more dependencies or workers than the others"
    if size is not None and (not sizes or min(sizes) > same_footprint_limit(size)):
        by = "the smallest footprint"
    elif size is not None:
        by = "about the smallest footprint, and no more dependencies or workers than others with it"
    verb = "is" if len(found.tied) == 1 else "are"
    return f"{first}; {names} {verb} not proven slower or faster. Of these, it has {by}."


def _change(found: Recommendation) -> str:
    """Return what would change the answer, and which loaders were left out."""
    row, case = found.row, found.case
    assert row is not None
    assert case is not None
    assert case.utilization is not None
    texts = []
    sizes = sorted((s, r.label) for r in found.tied if (s := r.footprint_bytes) is not None)
    if found.tied:
        texts.append("more rounds, if they prove one of these faster or slower")
    if sizes and row.footprint_bytes is not None:
        texts.append(
            f"a footprint above the {mebibytes(sizes[0][0])} MiB of {code(sizes[0][1])}, "
            "the next loader"
        )
    behind = [
        (au.median, label)
        for label, au in ranked_utilizations(found.rows, CASES[found.bench]).items()
        if label != row.label and label not in {other.label for other in found.tied}
    ]
    if behind:
        au, label = max(behind)
        texts.append(
            f"an AU of {fraction(case.utilization.median)} for {code(label)} instead of "
            f"{fraction(au)}"
        )
    said = f"What would change it: {'; '.join(texts)}." if texts else ""
    return " ".join(filter(None, [said, _reasons(found.excluded)]))


def _reasons(excluded: dict[str, list[str]]) -> str:
    texts = [
        f"{cells.enumeration([code(label) for label in labels])} ({reason})"
        for reason, labels in excluded.items()
    ]
    return f"Left out: {'; '.join(texts)}." if texts else ""
