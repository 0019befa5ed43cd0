"""Runs of encoded images: their loaders, options and report."""

import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import suite
from conftest import PROJECT
from made_runs import raw_run

from keras_loader_bench.bench.child.decoding_rate import decoding_rate
from keras_loader_bench.bench.child.models import cnn_layers
from keras_loader_bench.bench.child.pixel_differences import PixelDifferences
from keras_loader_bench.bench.child.reference_images import reference_images
from keras_loader_bench.bench.parent import image_settings
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.excerpts.image_excerpts import containers
from keras_loader_bench.bench.report.figures.encoded_figures import decodings
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.plots.bar_plots import rates_figure
from keras_loader_bench.bench.report.plots.encoded_plot import encoded_figure
from keras_loader_bench.bench.report.plots.plot_layout import loader_styles
from keras_loader_bench.bench.report.sections.augmentation_section import augmentation_tables
from keras_loader_bench.bench.report.sections.encoded_section import encoded_tables
from keras_loader_bench.loaders.encoded.containers.in_process import written_containers
from keras_loader_bench.loaders.encoded.known_images import count_images, prepare_images
from keras_loader_bench.loaders.encoded.registry import DECODER, IMAGE_LOADERS
from keras_loader_bench.loaders.encoded.views import draw_views
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.stored_array import SourceError

OPTIONS = {"backend": "jax", "batch_size": 32, "pixels": "float32", "samples": 100}


needs_decoder = pytest.mark.skipif(
    missing_package((DECODER,)) is not None, reason="no decoder of encoded images is installed"
)


@pytest.fixture
def photographs():
    pytest.importorskip("simplejpeg")
    return prepare_images("photographs", image_size=32, num_samples=24)


@pytest.mark.parametrize("image_size", [0, 224])
def test_a_case_has_the_loaders_of_its_images(image_size):
    name = "image_sequence" if image_size else "sequence"
    case = Case(bench="feed", loader=name, image_size=image_size, **OPTIONS)
    assert case.entry.target.endswith("SequenceLoader")
    assert ("224px" in str(case), bool(case.container), case.decodes) == (bool(image_size),) * 3


def test_a_loader_that_has_one_order_or_cannot_augment_is_skipped_with_the_reason():
    def reasons(**options):
        cases = [
            Case(bench="feed", loader=name, image_size=64, **OPTIONS, **options)
            for name in IMAGE_LOADERS
        ]
        return {case.loader: case.unsupported for case in cases if case.unsupported}

    assert reasons() == reasons(augment="model") == {}
    shuffled = reasons(image_order="shuffled")
    assert shuffled.keys() == {n for n, entry in IMAGE_LOADERS.items() if entry.order != "any"}
    assert "read from the front; leave out `--image-order shuffled`" in shuffled["webdataset"]
    in_loader = reasons(augment="loader")
    assert in_loader.keys() == {"keras_directory_tf", "keras_directory_grain"}
    assert in_loader["keras_directory_tf"].endswith("as Keras does (`--augment model`)")


@pytest.mark.parametrize(
    ("augment", "delivered", "stored"),
    [("none", 224, 224), ("loader", 224, 256), ("model", 256, 256)],
)
def test_images_are_as_large_as_their_augmentation_needs(augment, delivered, stored):
    case = Case(bench="train", loader="image_sequence", image_size=224, augment=augment, **OPTIONS)
    assert (case.delivered_size, case.stored_size) == (delivered, stored)


@needs_decoder
def test_qualities_and_places_to_augment_are_cases(asking):
    options = ("--image-quality", "50,90", "--augment", "none,loader", "-k", "feed")
    answer = asking("bench/bench_images.py", "--benchmark-only", *options, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    for quality in (50, 90):
        for augment in ("", "-augment_loader"):
            name = f"-image_sequence-w0-b64-float32-224px-q{quality}{augment}-n2000"
            assert name in answer.stdout
    assert "-ceiling-w0-b64-float32-224px-q50-augment_loader-n2000" in answer.stdout


def test_every_loader_of_images_has_a_case_and_may_begin_cold():
    values = {name: [value] for name, value in OPTIONS.items()} | {"image_size": [64]}
    cases = cases_of("feed", values | {"loader": list(IMAGE_LOADERS), "num_workers": [0, 2]})
    assert {case.loader for case in cases} == set(IMAGE_LOADERS)
    for case in cases:
        assert case.num_workers == 0 or case.entry.has_workers
    with pytest.raises(ValueError, match="Unknown loader `sequence`; choose from decoded_numpy"):
        cases_of("feed", values | {"loader": ["sequence"]})
    (cold,) = cases_of("feed", values | {"loader": ["image_sequence"], "page_cache": ["cold"]})
    assert cold.unsupported is None


@needs_decoder
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image-size", "64"), "`--image-size` belongs to encoded images"),
        (("--source", "photographs", "--data-dir", "."), "`--data-dir` is of CIFAR-10"),
        (("--source", "photographs", "--step-ms", "1"), "without emulated steps"),
        (("--source", "photographs", "--loaders", "numpy"), "Unknown loader `numpy`; choose from"),
        (("--source", "folder:/nowhere/at/all"), "/nowhere/at/all"),
        (("--source", "photographs", "--image-size", "0"), "must be positive"),
        (("--image-order", "shuffled"), "`--image-order` belongs to encoded images"),
        (("--augment", "loader"), "`--augment` belongs to encoded images"),
        (
            ("--source", "photographs", "--image-order", "sorted"),
            "Unknown image order `sorted`; choose from",
        ),
        (("--source", "photographs", "--image-quality", "0,90"), "from 1 to 100, got 0"),
        (("--source", f"folder:{PROJECT}", "--image-quality", "75"), "have their own"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(asking, arguments, message):
    answer = asking("bench/", "--benchmark-only", *arguments, "--dry-run")
    assert answer.returncode == 4
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_without_its_decoder_a_run_says_what_to_install(monkeypatch):
    monkeypatch.setattr(image_settings, "DECODER", "no_such_decoder")
    with pytest.raises(ValueError, match="need a decoder: `no_such_decoder` is not installed"):
        image_settings.images_of(SimpleNamespace(getoption=lambda name: None))


@needs_decoder
def test_a_dry_run_lists_the_loaders_of_images_alone(asking):
    answer = asking("bench/", "--benchmark-only", "--source", "photographs", "--dry-run")
    assert answer.returncode == 0, answer.stderr
    for name in IMAGE_LOADERS:
        assert f"-{name}-w0-b64-float32-224px-n2000" in answer.stdout
    assert "tuned_tf_data" not in answer.stdout


@needs_decoder
def test_they_have_more_rounds_unless_others_are_asked_for(asking):
    """Seen in the estimate of the time."""

    def estimate(*options):
        answer = asking("bench/bench_images.py", "--benchmark-only", *options, "--dry-run")
        return re.search(r"^\d+ cases, about .*$", answer.stdout, re.MULTILINE).group()

    assert estimate() == estimate("--processes", "3", "--rounds", "4")
    assert estimate() != estimate("--rounds", "2")


@needs_decoder
def test_named_the_benchmark_of_images_has_all_its_cases_and_no_other_module_has(asking):
    quick = ("--benchmark-only", "--quick", "--dry-run")
    answer = asking("bench/bench_images.py", *quick)
    assert answer.returncode == 0, answer.stderr
    cases = re.findall(r"^\[\d/6\] (\w+)-.*-224px-n256$", answer.stdout, re.MULTILINE)
    assert sorted(cases) == sorted(["feed", "train", "memory"] * 2)
    both = asking("bench/bench_images.py", "bench/bench_feed.py", *quick)
    assert "6 cases" in both.stdout
    whole = asking("bench/", *quick)
    assert "px-" not in whole.stdout


@needs_decoder
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "synthetic"), "and `--source synthetic` has none; use `photographs`"),
        (("--input", "json:data"), "`bench_images.py` measures no `--input`"),
    ],
)
def test_what_the_benchmark_of_images_cannot_measure_is_refused(asking, arguments, message):
    answer = asking("bench/bench_images.py", "--benchmark-only", *arguments, "--dry-run")
    assert answer.returncode == 4
    assert message in answer.stderr


def test_a_folder_is_counted_by_its_files(tmp_path):
    for name in ("a/1.jpg", "a/2.jpeg", "b/3.png", "b/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert count_images(f"folder:{tmp_path}") == 3


def test_a_reference_is_read_by_another_decoder(photographs):
    rows = np.array([3, 0, 3])
    for views in (np.zeros((3, 3), np.int32), draw_views(3, 32, seed=0, epoch=1)):
        by_pillow, ours = (
            read(rows, views) for read in (partial(reference_images, photographs), photographs.read)
        )
        for one, other in zip(by_pillow, ours, strict=True):
            assert np.array_equal(one, other)


def test_decoding_alone_is_counted_and_timed(photographs):
    found = decoding_rate(photographs, 0.1)
    assert found["samples"] > 24  # again and again
    assert 0.1 <= found["seconds"] < 5


def test_containers_are_written_by_a_process_of_their_own(photographs, monkeypatch):
    (tar,) = written_containers(photographs, ["tar"])
    assert (tar["kind"], tar["disk_bytes"] > photographs.stored_bytes) == ("tar", True)
    with pytest.raises(SourceError, match="sack"):
        written_containers(photographs, ["sack"])
    with pytest.raises(SourceError, match="The container `hdf5` took more than 0 s"):
        written_containers(photographs, ["hdf5"], timeout_s=0.001)


def test_the_ten_lines_show_that_decoders_differ(capsys):
    for package in ("simplejpeg", "tensorflow"):
        pytest.importorskip(package)
    page = (PROJECT / "results" / "README.md").read_text()
    (script,) = re.findall(r"```python\n(import io\n.*?)```", page, re.DOTALL)
    exec(compile(script, "results/README.md", "exec"), {})
    default, accurate = capsys.readouterr().out.splitlines()
    assert accurate == "INTEGER_ACCURATE: 0% of values differ, by up to 0"
    assert int(re.match(r"default: (\d+)%", default)[1]) > 33


def test_a_case_that_crashed_says_so_and_is_the_best_of_no_container():
    fast, slow = feed("image_sequence", 1800.0), feed("image_sequence", 900.0, num_workers=2)
    for each in (fast, slow):
        passed = {"name": "fit, epoch 1", "verdict": "identical", "batches": 2}
        passed |= {"expected_batches": 2, "samples": 100, "expected_samples": 100}
        each["audit"] = {"verdict": "identical", "identical": True, "passes": [passed]}
    fast["outcome"] = "crashed"
    run = parse_run(raw_run([fast, slow], schema=8))
    assert "`image_sequence (2 workers)` 900" in containers(run, "")
    assert "1.80k" not in containers(run, "")
    shown = {line[0]: line[2] for line in encoded_tables(run)[0].lines}
    assert shown["`image_sequence`"] == "crashed"


def test_larger_images_are_averaged_first():
    assert len(cnn_layers(224)) == len(cnn_layers(64)) == len(cnn_layers(32)) + 1
    averaged = cnn_layers(224)[0](np.zeros((1, 224, 224, 3), "float32"))
    assert tuple(averaged.shape) == (1, 32, 32, 3)


def feed(loader, rate, decoding=2000.0, **options):
    case = OPTIONS | {"bench": "feed", "loader": loader, "image_size": 224} | options
    processes = [
        {
            "number": number,
            "outcome": "ok",
            "rounds": [{"samples": 100, "seconds": 100 / rate / noise, "ceiling_seconds": 0.01}],
            "decoding": [{"samples": int(decoding * noise), "seconds": 1.0}],
        }
        for number, noise in enumerate((0.98, 1.0, 1.02), start=1)
    ]
    return {"id": loader, "case": case, "outcome": "ok", "processes": processes}


def test_the_report_sets_loaders_beside_decoding_alone():
    made = raw_run([feed("stock_image_sequence", 500.0), feed("image_sequence", 1800.0)], schema=8)
    known = {"name": "photographs", "num_samples": 100}
    made["sources"] = [
        known
        | {
            "bytes_per_sample": 20480.0,
            "containers": [{"kind": "folder", "write_s": 0.5, "disk_bytes": 2**20 * 46}],
        }
    ]
    loaders, containers = encoded_tables(parse_run(made))
    assert loaders.text.startswith("With jax, 224 x 224 pixels, decoding alone reaches 2.00k (1.9")
    assert [line[:2] for line in loaders.lines[1:]] == [
        ["`image_sequence`", "one file"],
        ["`stock_image_sequence`", "folder"],
    ]
    assert [line[3].partition(" ")[0] for line in loaders.lines[1:]] == ["0.90", "0.25"]
    assert containers.text == "An encoded image has 20.0 KiB on average."
    assert containers.lines[1] == ["folder", "0.500", "46"]


def test_the_report_says_what_cold_rounds_read():
    made = feed("image_sequence", 500.0, page_cache="cold")
    for process in made["processes"]:
        process["rounds"][0] |= {"read_bytes": 100 * 25 * 1024, "resident_before": 0.0}
    run = parse_run(raw_run([made, feed("image_sequence", 1800.0)], schema=8))
    warm, cold = (table.lines for table in encoded_tables(run))
    assert (cold[0][-1], cold[1][-1]) == (
        "read from disk (KiB per image)",
        "25.0 (25.0 - 25.0)",
    )
    assert len(warm[0]) == len(warm[1]) == 5
    assert "page cache cold" in encoded_tables(run)[1].text


@pytest.mark.parametrize(
    "options",
    [{"image_size": 64}, {"image_quality": 50}, {"image_order": "shuffled"}, {"augment": "loader"}],
)
def test_batches_of_other_images_may_have_another_digest(options):
    def audited(digest, **options):
        case = feed("image_sequence", 500.0, **options)
        passed = {"name": "fit, epoch 1", "verdict": "identical", "batches": 2}
        passed |= {"expected_batches": 2, "samples": 100, "expected_samples": 100}
        audit = {"verdict": "identical", "identical": True, "passes": [passed], "digest": digest}
        return case | {"id": digest, "audit": audit}

    def identical(*cases):
        rows = rows_from_run(parse_run(raw_run(list(cases), schema=9)))
        return [row.identical for row in rows]

    assert identical(audited("a"), audited("b", **options)) == [True, True]
    same = audited("b") | {"case": audited("b")["case"] | {"num_workers": 2}}
    assert identical(audited("a"), same) == [False, False]


def test_the_report_says_in_which_order_images_come():
    cases = [feed("image_sequence", 500.0, image_order="shuffled"), feed("image_sequence", 600.0)]
    stored, shuffled = (table.text for table in encoded_tables(parse_run(raw_run(cases, schema=9))))
    assert "shuffled rows, decoding alone reaches" in shuffled
    assert "in each round the images come in another order" in shuffled.lower()
    assert "shuffled" not in stored
    assert "in the order in which they are stored" in stored
    assert "Decoding alone is timed" in stored, "which is said once"
    assert "Decoding alone is timed" not in shuffled


def test_images_in_other_forms_have_a_table_of_their_own():
    """What a loader reaches with bytes stood below what it reaches with float32, unnamed."""
    cases = [feed("image_sequence", 500.0), feed("image_sequence", 800.0, pixels="uint8")]
    one, two = encoded_tables(parse_run(raw_run(cases, schema=9)))
    assert "uint8" in two.text
    assert "uint8" not in one.text
    assert [len(table.lines) for table in (one, two)] == [2, 2]


def test_ranks_have_a_table_of_their_own_beside_decoding():
    cases = [feed("image_sequence", 500.0), feed("image_sequence", 800.0, ranks=2)]
    one, two = encoded_tables(parse_run(raw_run(cases, schema=9)))
    assert "2 ranks" in two.text
    assert "ranks" not in one.text
    assert [len(table.lines) for table in (one, two)] == [2, 2]


def test_the_report_sets_places_to_augment_beside_each_other():
    cases = [
        feed("image_sequence", 500.0),
        feed("image_sequence", 400.0, augment="loader"),
        feed("keras_directory_tf", 300.0, augment="model"),
    ]
    run = parse_run(raw_run(cases, schema=9))
    (table,) = augmentation_tables(run)
    assert table.lines[0] == ["loader", "none", "loader", "model"]
    rates = {line[0]: [text.partition(" ")[0] for text in line[1:]] for line in table.lines[1:]}
    assert rates["`image_sequence`"] == ["500", "400", "-"]
    assert rates["`keras_directory_tf`"] == ["-", "-", "300"]
    assert "feed rates" in table.text.lower()
    assert augmentation_tables(parse_run(raw_run(cases[:1], schema=9))) == []


def other_pixels(loader, rate, **pixels):
    """A loader that gives other pixels and is expected to."""
    case = feed(loader, rate)
    passed = {"name": "fit, epoch 1", "verdict": "other_values", "batches": 2}
    passed |= {"expected_batches": 2, "samples": 100, "expected_samples": 100}
    audit = {"verdict": "other_values", "identical": False, "passes": [passed], "pixels": pixels}
    return case | {"outcome": "audit_failed", "audit": audit}


def test_loaders_with_other_pixels_stand_last_and_say_by_how_much():
    off = {"largest_levels": 73.4, "mean_levels": 2.14, "share": 0.684}
    fast = other_pixels("keras_directory_tf", 1900.0, **off)
    run = parse_run(raw_run([fast, feed("image_sequence", 1800.0)], schema=8))
    lines = encoded_tables(run)[0].lines
    assert [line[0] for line in lines[1:]] == ["`image_sequence`", "`keras_directory_tf`"]
    assert lines[2][-1] == "other: 68% of values, by up to 73 levels, 2.14 on average"
    assert lines[1][-1] == cells.NOT_RUN


def test_the_plot_has_a_line_for_each_container_and_for_decoding_alone():
    memory = feed("decoded_numpy", 50_000.0)  # decodes nothing
    slow, fast = feed("stock_image_sequence", 500.0), feed("image_sequence", 1800.0)
    found = decodings(parse_run(raw_run([slow, memory, fast], schema=8)))
    styles = loader_styles(["decoded_numpy", "image_sequence", "stock_image_sequence"])
    (ax,) = encoded_figure(found, styles).axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["one file", "image_sequence", "folder", "stock_image_sequence"]
    assert [bar.get_width() for bar in ax.patches[:2]] == pytest.approx([1800, 500], rel=0.01)
    assert any(line.get_linestyle() == "--" for line in ax.lines)
    assert encoded_figure(decodings(parse_run(raw_run([memory], schema=8))), styles) is None


def test_feeding_images_is_in_no_other_plot():
    rows = rows_from_run(parse_run(raw_run([feed("image_sequence", 1800.0)], schema=9)))
    styles = loader_styles(["image_sequence"])
    assert rates_figure(rows, styles) is None
    trained = [replace(row, train=row.feed) for row in rows]
    (ax,) = rates_figure(trained, styles).axes
    assert ax.get_title(loc="left") == "Training rate"


def test_pixels_are_compared_in_levels():
    reference = np.array([[10, 20], [30, 255]], np.uint8)
    other = np.array([[10, 23], [30, 254]], np.uint8)
    same_scale = (each.astype("float32") / np.float32(255) for each in (reference, other))
    for expected, got in ((reference, other), tuple(same_scale)):
        differences = PixelDifferences(iter([{"x": expected}]))
        differences.see({"x": got})
        found = differences.found()
        assert found == pytest.approx({"largest_levels": 3, "mean_levels": 1, "share": 0.5})
    rounding = PixelDifferences(iter([{"x": reference / 255}]))
    rounding.see({"x": (reference / np.float32(255)).astype("float32")})
    assert rounding.found()["share"] == 0
    for wrong in (other[:1], None):
        differences = PixelDifferences(iter([{"x": reference}]))
        differences.see({"x": wrong} if wrong is not None else {})
        assert differences.found() is None


def test_other_runs_have_no_such_section():
    assert encoded_tables(parse_run(raw_run([]))) == []


finished = suite.Job(
    __name__,
    *("--source", "photographs", "--image-size", "64", "--samples", "128"),
    *("--loaders", "image_sequence,keras_directory_tf,tf_data_records", "-k", "feed"),
).fixture()

augmented = suite.Job(
    __name__,
    *("--source", "photographs", "--image-size", "64", "--samples", "128"),
    *("--loaders", "image_sequence,tf_data_files,keras_directory_tf", "-k", "train"),
    *("--image-order", "shuffled", "--image-quality", "60", "--augment", "loader,model"),
).fixture()


@needs_decoder
@pytest.mark.long
def test_a_run_that_augments_is_audited_in_each_place(augmented):
    ends = {(each.case.loader, each.case.augment): each for each in augmented.run.cases}
    for loader in ("image_sequence", "tf_data_files"):
        for augment in ("loader", "model"):
            case = ends[loader, augment]
            assert (case.outcome, case.audit.identical) == ("ok", True), case.error
    for augment in ("loader", "model"):
        assert ends["keras_directory_tf", augment].outcome == "skipped"
    (source,) = augmented.run.sources
    assert source.image_quality == 60
    assert "RandomCrop" in augmented.report


@needs_decoder
@pytest.mark.long
def test_a_run_is_audited_and_its_containers_are_on_record(finished):
    ends = {each.case.loader: each for each in finished.run.cases}
    assert ends["image_sequence"].outcome == ends["tf_data_records"].outcome == "ok"
    assert ends["image_sequence"].audit.identical
    assert ends["tf_data_records"].audit.identical
    other = ends["keras_directory_tf"]
    assert other.failed_as_expected
    assert other.audit.pixels.largest_levels > 1
    assert 0.1 < other.audit.pixels.share < 1
    assert other.audit.verdict == "other_values"
    (source,) = finished.run.sources
    assert {each.kind for each in source.containers} == {"folder", "tfrecord"}
    assert all(each.processes[0].decoding[0].samples for each in finished.run.cases)
