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
    tables = []
    for found in decodings(run):
        best: dict[str, Fed] = {}
        for fed in found.loaders:  # the fastest come first
            if fed.share and fed.pixels == "identical":
                best.setdefault(fed.container, fed)
        headings = ["images/s", *best]
        line = [found.options, *map(_cell, best.values())]
        tables.append(cells.table([headings, line], left=headings))
    return "\n\n".join(tables)


def _cell(fed: Fed) -> cells.Markdown:
    assert fed.rate is not None, "what has a share has a rate"
    assert fed.share is not None
    rate, share = cells.rate(fed.rate.median), cells.fraction(fed.share.median)
    return cells.Markdown(f"{cells.code(fed.label)} {rate}, {share}")
