"""The excerpts of a report on encoded images."""

from __future__ import annotations

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.encoded_figures import Fed, decodings
from keras_loader_bench.bench.report.sections.encoded_section import decoding_rate, loader_lines


def images(run: Run, address: str) -> str:
    """The loaders of encoded images beside decoding alone, for each set of options."""
    parts = []
    for found in decodings(run):
        table = cells.table(loader_lines(found), left=["loader", "reads", "pixels"])
        parts += [decoding_rate(found).strip(), table]
    return "\n\n".join(parts)


def containers(run: Run, address: str) -> str:
    """The loader with the best median of each container, a column each; identical pixels alone."""
    lines: dict[str, dict[str, Fed]] = {}
    for found in decodings(run):
        best = lines.setdefault(found.options, {})
        for fed in found.loaders:  # the fastest come first
            if fed.share and fed.feed.outcome == "ok" and fed.pixels == "identical":
                best.setdefault(fed.container, fed)
    kinds = list(dict.fromkeys(kind for best in lines.values() for kind in best))
    headings = ["images/s", *kinds]
    shown = [
        [options, *(_cell(best[kind]) if kind in best else "-" for kind in kinds)]
        for options, best in lines.items()
    ]
    return cells.table([headings, *shown], left=headings)


def _cell(fed: Fed) -> cells.Markdown:
    assert fed.feed.rate is not None, "what has a share has a rate"
    assert fed.share is not None
    rate, share = cells.rate(fed.feed.rate.median), cells.fraction(fed.share.median)
    return cells.Markdown(f"{cells.code(fed.label)} {rate}, {share}")
