"""Laws of the plots of `bench.report`, on an invented run."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.plots import CAPTIONS, draw_plots, write_plots
from keras_loader_bench.bench.report.plots.bar_plots import (
    footprint_figure,
    rates_figure,
    utilization_figure,
)
from keras_loader_bench.bench.report.plots.memory_plots import timeline_figure
from keras_loader_bench.bench.report.plots.plot_layout import (
    COLORS,
    HATCHES,
    MARKERS,
    Layout,
    loader_styles,
)
from keras_loader_bench.bench.report.plots.trade_off_plots import pareto_figure, workers_figure
from keras_loader_bench.loaders import LOADERS


def styles_of(run):
    return loader_styles({result["case"]["loader"] for result in run["cases"]})


def drawn(figure_of, run):
    return figure_of(rows_from_run(parse_run(run)), styles_of(run))


def test_plots_are_valid_and_begin_at_zero(run, tmp_path):
    rows = rows_from_run(parse_run(run))
    write_plots(draw_plots(parse_run(run), rows, []), tmp_path)
    for name in ("rates", "utilization", "footprint", "timeline"):
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    for figure_of in (rates_figure, utilization_figure, footprint_figure):
        for ax in drawn(figure_of, run).axes:
            assert ax.get_xlim()[0] == 0
            assert ax.get_xlabel()
            assert all(patch.get_x() >= 0 for patch in ax.patches)


def test_rows_without_a_memory_case_are_not_in_the_plot_of_footprints(whole_run):
    rows = [row for row in rows_from_run(parse_run(whole_run)) if row.memory is not None]
    timed = [replace(rows[0], memory=None), *rows[1:]]
    figures = [footprint_figure(each, styles_of(whole_run)) for each in (rows, timed)]
    before, after = ([text.get_text() for text in each.axes[0].texts] for each in figures)
    assert len(after) == len(before) - 1
    assert "not run" not in after


def test_every_plot_says_what_it_shows(whole_run):
    found = draw_plots(parse_run(whole_run), rows_from_run(parse_run(whole_run)), [])
    assert set(found) <= set(CAPTIONS)
    assert {"rates", "utilization", "workers", "pareto", "footprint", "timeline"} <= set(found)
    for figure in found.values():
        for ax in figure.axes:
            assert not ax.get_visible() or ax.get_xlabel()
            assert len(ax.figure.axes) == len({tuple(a.get_position().bounds) for a in figure.axes})


def test_a_loader_has_one_style_in_all_plots(run):
    rates, footprint = drawn(rates_figure, run), drawn(footprint_figure, run)
    utilization = drawn(utilization_figure, run)
    axes = [*rates.axes, *utilization.axes]
    seen = [[(p.get_facecolor(), p.get_hatch()) for p in ax.patches[:3]] for ax in axes]
    bars = footprint.axes[0].patches[::3]
    seen.append([(patch.get_facecolor(), patch.get_hatch()) for patch in bars])
    assert seen == [seen[0]] * len(seen)
    assert len(set(seen[0])) == 3


def test_a_loader_looks_the_same_in_every_run():
    """Whoever else was measured; three marks, so that none depends on colour alone."""
    known = list(LOADERS)
    for few in (["sequence"], ["sequence", "torch"], sorted(LOADERS)):
        styles = loader_styles(few, known)
        assert styles["sequence"] == loader_styles([], known)["sequence"]
    for mark in ("color", "marker", "hatch"):
        assert len({getattr(style, mark) for style in loader_styles([], known).values()}) == 8
    assert len(set(COLORS)) == len(set(MARKERS)) == len(set(HATCHES)) == 8


def test_a_loader_that_is_not_known_has_a_style_too():
    styles = loader_styles(["mine"], ["a", "b"])
    assert styles["mine"].color == COLORS[2]


def test_single_rounds_are_dots_and_all_there(run):
    rows = [row for row in rows_from_run(parse_run(run)) if row.feed.outcome == "ok"]
    ax = drawn(rates_figure, run).axes[0]
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [len(row.feed.rates) for row in rows]
    for row, line in zip(rows, dots, strict=True):
        assert list(line.get_xdata()) == pytest.approx([rate / 1000 for rate in row.feed.rates])


def test_rows_of_one_backend_stand_under_its_name(whole_run, run):
    layout = Layout.of(rows_from_run(parse_run(whole_run)))
    names = layout.headings | dict(zip(layout.positions, layout.labels, strict=True))
    assert [names[y] for y in range(3)] == ["jax", "sequence", "sequence (2 workers)"]
    assert list(layout.headings.values()) == ["jax", "tensorflow", "torch"]
    assert Layout.of(rows_from_run(parse_run(run))).headings == {}


def test_the_ideal_line_begins_at_the_rate_without_workers(whole_run):
    ax = drawn(workers_figure, whole_run).axes[0]
    ideal = next(line for line in ax.lines if line.get_linestyle() == ":")
    xs, ys = ideal.get_xdata(), ideal.get_ydata()
    assert list(ys) == [ys[0] * max(1, x) for x in xs]
    row = next(row for row in rows_from_run(parse_run(whole_run)) if row.num_workers == 0)
    assert ys[0] == pytest.approx(row.feed.rate.median / 1000)
    assert ax.get_ylim()[0] == 0


def texts_overlap(ax):
    boxes = [text.get_window_extent() for text in ax.texts]
    return any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[n + 1 :])


def test_names_on_the_pareto_plot_overlap_neither_each_other_nor_the_edge(whole_run, run):
    for each in (whole_run, run):
        figure = drawn(pareto_figure, each)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert not any(texts_overlap(ax) for ax in figure.axes)


def test_a_timeline_shows_small_footprints_beside_large_ones(run):
    """From 1 MiB on, on one logarithmic axis for all panels."""
    figure = timeline_figure(parse_run(run), styles_of(run))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert {ax.get_yscale() for ax in shown} == {"log"}
    assert len({ax.get_ylim() for ax in shown}) == 1
    assert shown[0].get_ylim()[0] == 1


def test_without_workers_or_memory_there_is_nothing_to_weigh(run):
    assert drawn(workers_figure, run) is None
    run["cases"] = [result for result in run["cases"] if result["case"]["bench"] != "memory"]
    assert drawn(pareto_figure, run) is None


def test_the_pareto_front_is_named_and_its_rows_are_proven(whole_run):
    for ax in drawn(pareto_figure, whole_run).axes:
        named = [text.get_text() for text in ax.texts]
        assert named
        assert "wrong_dtype" not in named
