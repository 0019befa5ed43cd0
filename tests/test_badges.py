"""Badges say what a run found, and are SVG documents that hold whatever their text is."""

from xml.etree import ElementTree

from test_recommend import row

from keras_loader_bench.bench.report.badges import Badge, report_badges

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_identical_batches_and_the_footprint_of_the_loader_to_use():
    badges = report_badges([row("numpy", mib=790), row("sequence", mib=21)])
    assert texts(badges["batches"]) == ["batches", "identical"]
    assert texts(badges["loader"]) == ["use", "sequence"]
    assert texts(badges["footprint"]) == ["footprint", "21 MiB"]


def test_wrong_batches_are_counted_and_known_failures_are_none():
    wrong = row("wrong", identical=False)
    assert texts(report_badges([row("a"), wrong])["batches"]) == ["batches", "1 of 2 differ"]
    known = row("known", identical=False, known_failure=object())
    assert texts(report_badges([row("a"), known])["batches"]) == ["batches", "identical"]


def test_where_options_disagree_no_loader_is_named():
    rows = [row("a", 0.9), row("b", 0.5), row("a", 0.5, backend="torch")]
    rows.append(row("b", 0.9, backend="torch"))
    assert set(report_badges(rows)) == {"batches"}


def test_no_loader_is_named_where_some_options_have_none():
    assert "loader" in report_badges([row("a"), row("a", backend="torch")])
    rows = [row("a"), row("a", backend="torch", identical=False, known_failure=object())]
    assert set(report_badges(rows)) == {"batches"}


def test_an_input_is_no_loader_and_a_remedy_on_trial_no_batches_of_it():
    own = row("train:data", pixels="own", samples=0)
    tried = row("train:data", pixels="own", samples=0, remedy="workers2", identical=False)
    badges = report_badges([own, tried])
    assert set(badges) == {"batches"}
    assert texts(badges["batches"]) == ["batches", "identical"]


def test_nothing_audited_nothing_claimed():
    assert report_badges([row("a", identical=None)]) == {}


def test_hostile_text_stays_text():
    hostile = "<script>&\"'"
    svg = Badge(label=hostile, value=hostile, color="#444").svg()
    assert texts(svg) == [hostile, hostile]
    assert "<script>" not in svg
