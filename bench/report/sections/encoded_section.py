"""The section of a report on encoded images: loaders beside decoding alone, and the containers."""

from __future__ import annotations

from keras_loader_bench.bench.record.schema import Run, SourceRecord
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.encoded_figures import Decoding, Fed, decodings
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.sections.table import Table

_ALONE = (
    "Decoding alone is timed for half a second in each process of a feed case, after its rounds: "
    "one thread per core decodes images whose bytes are in memory. The share is a loader's feed "
    "rate divided by that rate in the same process."
)
_STORED = (
    "All loaders are given the images in the order in which they are stored, which was drawn from "
    "the seed once."
)
_SHUFFLED = (
    "In each round the images come in another order, drawn from the seed; loaders that can deliver "
    "one order alone are skipped."
)
_OTHER_PIXELS = (
    "Loaders whose pixels are other ones stand last: levels are of 255, over the first batches of "
    "an epoch."
)


def encoded_tables(run: Run) -> list[Table]:
    """Return a table per set of options, and one of the containers; none without such images."""
    tables: list[Table] = []
    said: set[str] = set()
    for found in decodings(run):
        parts = (_ALONE, _SHUFFLED if found.shuffled else _STORED, _OTHER_PIXELS)
        about = decoding_rate(found) or f"With {found.options}. "
        text = about + " ".join(each for each in parts if each not in said)
        said |= {*parts}
        tables.append(Table(text=text.strip(), lines=loader_lines(found)))
    return [*tables, *(_containers(source) for source in run.sources if source.containers)]


def decoding_rate(found: Decoding) -> str:
    """Say what decoding alone reaches, with a space behind; nothing if that was not measured."""
    if found.rate is None:
        return ""
    rate = cells.interval(found.rate, cells.rate)
    return f"With {found.options}, decoding alone reaches {rate} images/s. "


def loader_lines(found: Decoding) -> list[list[str]]:
    """Return the table of the loaders, its first line the headings."""
    headings = ["loader", "reads", "feed rate (images/s)", "share of decoding alone", "pixels"]
    cold = any(each.read_bytes for each in found.loaders)
    headings += ["read from disk (KiB per image)"] * cold
    lines = [
        [
            cells.code(each.label),
            each.container,
            _rate(each.feed),
            cells.interval(each.share, cells.fraction),
            _pixels(each),
            *[cells.interval(each.read_bytes, cells.kibibytes)] * cold,
        ]
        for each in found.loaders
    ]
    return [headings, *lines]


def _rate(feed: Throughput) -> str:
    rate = cells.interval(feed.rate, cells.rate)
    # What an audit found, the column of the pixels says.
    return rate if feed.outcome == "audit_failed" else cells.measured(feed, lambda _: rate)


def _pixels(fed: Fed) -> str:
    off = fed.difference
    if off is None:
        return fed.pixels or cells.NOT_RUN
    return (
        f"{fed.pixels}: {off.share:.0%} of values, by up to {off.largest_levels:.0f} levels, "
        f"{cells.significant(off.mean_levels)} on average"
    )


def _containers(source: SourceRecord) -> Table:
    lines = [["container", "seconds to write", "MiB on disk"]]
    for each in source.containers:
        written = cells.significant(each.write_s), cells.mebibytes(each.disk_bytes)
        lines.append([each.kind, *written])
    size = cells.significant((source.bytes_per_sample or 0) / 1024)
    quality = f" of JPEG quality {source.image_quality}" if source.image_quality else ""
    return Table(text=f"An encoded image{quality} has {size} KiB on average.", lines=lines)
