"""Laws of the plots of `bench.report`, on an invented run."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.report.plot_layout import Layout
from bench.report.plots import footprint_figure, rates_figure, write_plots
from bench.report.rows import rows_from_run


def test_plots_are_valid_and_begin_at_zero(run, tmp_path):
    write_plots(run, rows_from_run(run), [], tmp_path)
    for name in ("rates", "footprint", "timeline"):
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    rows = rows_from_run(run)
    for figure in (rates_figure(rows), footprint_figure(rows)):
        for ax in figure.axes:
            assert ax.get_xlim()[0] == 0
            assert ax.get_xlabel()
            assert all(patch.get_x() >= 0 for patch in ax.patches)


def test_a_loader_has_one_colour_in_all_plots(run):
    rows = rows_from_run(run)
    rates, footprint = rates_figure(rows), footprint_figure(rows)
    seen = [[patch.get_facecolor() for patch in ax.patches[:3]] for ax in rates.axes]
    seen.append([patch.get_facecolor() for patch in footprint.axes[0].patches[::3]])
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0])) == 3


def test_a_bar_with_workers_has_the_colour_of_its_loader_and_a_hatch(whole_run):
    plain, workers, *_ = rates_figure(rows_from_run(whole_run)).axes[0].patches
    assert plain.get_facecolor() == workers.get_facecolor()
    assert workers.get_hatch()
    assert not plain.get_hatch()


def test_rows_of_one_backend_stand_under_its_name(whole_run, run):
    layout = Layout.of(rows_from_run(whole_run))
    names = layout.headings | dict(zip(layout.positions, layout.labels, strict=True))
    assert [names[y] for y in range(3)] == ["jax", "sequence", "sequence (2 workers)"]
    assert list(layout.headings.values()) == ["jax", "tensorflow", "torch"]
    assert Layout.of(rows_from_run(run)).headings == {}
