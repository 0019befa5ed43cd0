"""Words a recommendation: the answer, its reasons, and what would change it."""

from __future__ import annotations

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown, code, fraction, mebibytes, prose, rate
from keras_loader_bench.bench.report.figures.row_options import describe
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.ranking import CASES, ranked_rates, ranked_utilizations
from keras_loader_bench.bench.report.recommend import Recommendation, same_footprint_limit


def recommendation_text(found: Recommendation) -> list[Markdown]:
    """Return Markdown sentences: the answer in bold, the reasons, what would change it."""
    place = _place(found)
    if found.row is None:
        nothing = f"**On this machine, with {place}: no loader can be recommended"
        if found.doubt:
            remedy = "Run again on a quiet machine, with more rounds."
            return [Markdown(f"{nothing}: {found.doubt}.**"), Markdown(remedy)]
        reasons = _reasons(found.excluded)
        remedy = "More processes or a fix of what failed may change that."
        return [Markdown(f"{nothing}.** {reasons}".strip()), Markdown(remedy)]
    what: str = code(found.row.label)
    if found.equals:
        what = f"{_names(found, ' or ')}; any of these will do"
    answer = f"**On this machine, with {place}: use {what}.** {_figures(found)}"
    return [Markdown(text) for text in (answer, _reason(found), _change(found)) if text]


def recommendation_title(found: Recommendation) -> Markdown:
    """Return the title of the reasons in bold, such as `jax, batch size 64: sequence`."""
    what = "no loader" if found.row is None else _names(found, " or ")
    return Markdown(f"**{_place(found)}: {what}.**")


def _place(found: Recommendation) -> Markdown:
    row = found.rows[0]
    return prose(describe(row, without=("samples", *(["pixels"] * (row.pixels == "float32")))))


def _names(found: Recommendation, last: str) -> str:
    """Name the recommended rows."""
    assert found.row is not None
    *names, final = [code(row.label) for row in (found.row, *found.equals)]
    return last.join(filter(None, [", ".join(names), final]))


def _figures(found: Recommendation) -> str:
    row = found.row
    assert row is not None
    size = row.footprint_bytes
    others = [
        (other_size, other)
        for other in found.rows
        if other is not row and (other_size := other.footprint_bytes) is not None
    ]
    text = f"It {_of_one(row)}"
    if found.equals:
        text = "; ".join(f"{code(each.label)} {_of_one(each)}" for each in (row, *found.equals))
    if size is not None and others:
        largest, other = max(others, key=lambda pair: pair[0])
        if largest > same_footprint_limit(size):
            text += f"; {code(other.label)} needs {mebibytes(largest)} MiB"
    return f"{text}."


def _of_one(row: Row) -> str:
    """Return what a row does: `feeds 93.0k samples/s, 0.93 of the ceiling, in 21 MiB`."""
    parts = []
    if row.feed is not None and row.feed.outcome == "ok" and row.feed.rate is not None:
        fed = f"feeds {rate(row.feed.rate.median)} samples/s"
        if row.feed.utilization is not None:
            fed += f", {fraction(row.feed.utilization.median)} of the ceiling"
        parts.append(fed)
    size = row.footprint_bytes
    if size is not None:
        parts.append(f"{'in' if parts else 'needs'} {mebibytes(size)} MiB")
    return ", ".join(parts) or "was measured in training only"


def _reason(found: Recommendation) -> str:
    row, case = found.row, found.case
    assert row is not None
    assert case is not None
    assert case.utilization is not None
    what = "AU of training" if found.bench == "train" else "AU of feed (training was not measured)"
    au = cells.interval(case.utilization, fraction)
    first = f"Its batches are proven identical, and its {what} is {au}"
    if found.equals:
        first = f"Batches are proven identical; the {what} of {code(row.label)} is {au}"
    if not found.tied and found.equals:
        verb = "is" if len(found.equals) == 1 else "are"
        names = cells.enumeration([code(other.label) for other in found.equals])
        return f"{first}; {names} {verb} not proven slower or faster."
    if not found.tied:
        alone = len(ranked_rates(found.rows, CASES[found.bench])) < 2
        return f"{first}, {'with no other loader to compare' if alone else 'ahead of all others'}."
    names = cells.enumeration([code(other.label) for other in (*found.equals, *found.tied)])
    verb = "is" if len(found.equals) + len(found.tied) == 1 else "are"
    by = cells.enumeration(found.decided_by)
    has = "the recommended loaders have" if found.equals else "it has"
    return f"{first}; {names} {verb} not proven slower or faster. Of these, {has} {by}."


def _change(found: Recommendation) -> str:
    """Return what would change the answer, and which loaders were left out."""
    row, case = found.row, found.case
    assert row is not None
    assert case is not None
    assert case.utilization is not None
    texts = []
    limit = None if row.footprint_bytes is None else same_footprint_limit(row.footprint_bytes)
    sizes = sorted(
        (size, other.label)
        for other in found.tied
        if (size := other.footprint_bytes) is not None and limit is not None and size > limit
    )
    if found.tied or found.equals:
        texts.append("more rounds, if they prove one of these faster or slower")
    if sizes:
        texts.append(
            f"a footprint above the {mebibytes(sizes[0][0])} MiB of {code(sizes[0][1])}, "
            "the next loader"
        )
    reached = case.utilization.median
    behind = [
        (au.median, label)
        for label, au in ranked_utilizations(found.rows, CASES[found.bench]).items()
        if label not in {other.label for other in (row, *found.equals, *found.tied)}
        and au.median < reached
    ]
    if behind:
        au, label = max(behind)
        write = cells.significant if fraction(au) == fraction(reached) else fraction
        texts.append(f"an AU of {write(reached)} for {code(label)} instead of {write(au)}")
    said = f"What would change it: {'; '.join(texts)}." if texts else ""
    return " ".join(filter(None, [said, _reasons(found.excluded)]))


def _reasons(excluded: dict[str, list[str]]) -> str:
    texts = [
        f"{cells.enumeration([code(label) for label in labels])} ({reason})"
        for reason, labels in excluded.items()
    ]
    return f"Left out: {'; '.join(texts)}." if texts else ""
