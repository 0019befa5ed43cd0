"""What is said of an input follows from its figures, and from nothing else."""

from types import SimpleNamespace

import pytest
from made_runs import raw_run

from keras_loader_bench.bench import conftest as hooks
from keras_loader_bench.bench.compare.pairs import pair_cases
from keras_loader_bench.bench.parent.child_settings import not_tried
from keras_loader_bench.bench.plan.inputs import parse_wait
from keras_loader_bench.bench.plan.remedies import REMEDIES, not_applicable
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.figures.input_figures import inputs_of
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.sections.input_section import (
    _growth,
    comparisons,
    input_sentences,
    judged_wait,
    judgement,
)
from keras_loader_bench.bench.report.sections.remedy_section import what_would_help
from keras_loader_bench.bench.report.terminal_table import terminal_table
from keras_loader_bench.bench.slope import Slope

ABOUT = {
    "kind": "PyDataset",
    "type": "Photos",
    "form": [
        {"image": {"dtype": "float32", "shape": [32, 224, 224, 3]}},
        {"dtype": "int32", "shape": [32]},
    ],
    "arrays": {"x/image": "float32 (224, 224, 3)", "y": "int32 ()"},
    "batches": 100,
    "samples": 3200,
    "batch_sizes": [32, 32],
    "mean_batch_size": 32.0,
    "seconds_per_batch": 0.078,
}


def audit(**parts):
    passed = {"name": "fit, epoch 1", "verdict": "identical", "batches": 100}
    passed |= {"expected_batches": 100, "samples": 3200, "expected_samples": 3200}
    found = {"verdict": "identical", "identical": True, "promise": "ordered"}
    return found | {"batches": 100, "samples": 3200, "passes": [passed]} | parts


def case(bench, *, loader="train:make_data", rate=400.0, ceiling=1260.0, **parts):
    """A case of 3 processes with 2 rounds; the rates of processes differ by a hundredth."""
    processes = [
        {
            "number": number,
            "outcome": "ok",
            "rounds": [
                {
                    "samples": 320,
                    "batches": 11,
                    "epochs": 1,
                    "seconds": 320 / (rate * noise),
                    "ceiling_seconds": 320 / (ceiling * noise),
                }
            ]
            * 2,
            "direct_reads": [{"samples": 320, "seconds": 320 / (rate * noise)}],
            "time_to_first_batch_s": [0.9] if bench == "feed" else [],
            "epoch_boundary_s": [0.4, 0.4] if bench == "feed" and number == 1 else [],
            "parts": {"getitem": 0.071, "conversion": 0.004, "copy": 0.001, "clock": 1e-6}
            | parts.get("parts", {}),
        }
        for number, noise in enumerate(parts.get("noise", (0.99, 1.0, 1.01)), start=1)
    ]
    options = {"backend": "jax", "loader": loader, "batch_size": 0, "pixels": "own", "samples": 0}
    options |= {"bench": bench, "model": "train:make_model", "remedy": parts.get("remedy", "none")}
    record = {"id": f"{bench}-{loader}-{options['remedy']}", "case": options, "outcome": "ok"}
    record |= {"processes": processes, "input": parts.get("about", ABOUT), "audit": audit()}
    return record | parts.get("record", {})


def run(*cases):
    return parse_run(raw_run(cases or [case("feed"), case("train")], schema=8, method=3))


def sentences(*cases):
    (found,) = inputs_of(run(*cases))
    return input_sentences(found)


def test_the_heading_says_what_the_input_is():
    assert sentences()[0] == (
        "train:make_data on jax: Photos, a PyDataset; batches of 32: "
        "x/image float32 (224, 224, 3), y int32 ()"
    )
    varying = case("feed", about=ABOUT | {"batch_sizes": [5, 32]})
    assert "batches of 5 to 32" in sentences(varying)[0]


def test_an_end_that_was_not_seen_is_said_to_be_missing():
    unknown = ABOUT | {"batches": None, "samples": None, "looked_at": 350}
    heading = sentences(case("feed", about=unknown))[0]
    assert "without an end in its first 350 batches (`--steps N` says how many" in heading
    assert ", endless;" in sentences(case("feed", about=unknown | {"endless": True}))[0]
    assert "without an end" not in sentences(case("feed", about=ABOUT | {"looked_at": 50}))[0]


def drifting(bench, *halves, drift=1.0, **parts):
    """A case whose ceiling takes so much longer in half of the rounds of each process."""
    made = case(bench, **parts)
    for process, half in zip(made["processes"], halves, strict=True):
        (one, _) = process["rounds"]
        process["rounds"] = [
            one | {"ceiling_seconds": one["ceiling_seconds"] * factor * drift**number}
            for number, factor in enumerate((half, 1.0, 1.0, half))
        ]
    return made


def test_the_rounds_of_the_ceiling_show_what_noise_does():
    (found,) = resolutions(run(drifting("train", 0.98, 1.0, 1.03, drift=1.5)))
    assert found.utilization.by_pass == pytest.approx({1: 0.98, 2: 1.0, 3: 1.03})
    (unsound,) = resolutions(run(drifting("train", 0.80, 0.81, 0.82)))
    assert found.sound
    assert not unsound.sound
    assert resolutions(run(case("train"))) == []  # two rounds are too few
    text = report_markdown(run(drifting("train", 0.98, 1.0, 1.03)), [], [], plots=[])
    resolution = text.partition("## Resolution")[2]
    assert "The rounds of the ceiling in a process are the same work" in resolution
    assert f"| {found.reach:.0%} |" in resolution


def test_nothing_finer_than_the_resolution_is_called_proven():
    equal, uneven = (1.0, 1.001, 1.0), (0.8, 1.0, 1.25)
    for halves, proven in ((equal, True), (uneven, False)):
        fast = drifting("train", *halves, rate=1250.0)
        assert ("so a faster input would not help" in "\n".join(sentences(fast))) is proven
        slow = drifting("train", *halves, rate=1200.0, loader="train:slow")
        (line,) = comparisons(inputs_of(run(fast, slow)))
        assert ("do not differ beyond the noise" in line) is not proven
        remedy = drifting("train", *halves, rate=1300.0, remedy="bridge")
        (found,) = inputs_of(run(fast, remedy))
        (line,) = what_would_help(found)
        assert ("no difference beyond the noise" in line) is not proven


def test_where_nothing_is_known_of_an_input_only_the_first_case_says_why():
    error = {"type": "TargetError", "message": "there is no `nothing` in `train`"}
    failed = {"outcome": "failed", "error": error, "input": None, "audit": None, "processes": []}
    why = {"type": "NotApplicable", "message": "nothing is known of it: its feed case has failed"}
    skipped = failed | {"outcome": "skipped", "error": why}
    lines = sentences(case("feed", record=failed), case("train", record=skipped))
    assert lines[0].endswith("could not be read.")
    assert [line for line in lines if "nothing" in line] == [
        "Feeding failed: there is no `nothing` in `train`"
    ]


def test_what_fails_with_a_remedy_keeps_no_case_of_the_input_away():
    error = {"outcome": "failed", "error": {"type": "TargetError"}, "audit": None}
    found = run(case("feed"), case("feed", remedy="doubled", record=error), case("train"))
    assert [not_tried(found, each.case) for each in found.cases] == [None] * 3


@pytest.mark.parametrize(
    ("kind", "about", "tried"),
    [
        ("TargetError", ABOUT, False),
        ("BatchError", None, False),
        ("ImportError", None, False),
        ("RuntimeError", ABOUT, True),
    ],
)
def test_no_other_case_is_tried_of_what_fit_does_not_take(kind, about, tried):
    failed = {"outcome": "failed", "error": {"type": kind}, "input": about, "audit": None}
    found = run(case("feed", record=failed), case("train", record={"input": None}))
    first, other = (each.case for each in found.cases)
    assert not_tried(found, first) is None
    assert (not_tried(found, other) is None) is tried


def test_rates_and_the_wait_have_intervals():
    text = "\n".join(sentences())
    assert "Your input delivers 400 samples/s (390 - 410), alone and through fit" in text
    assert "Your model takes 1.26k samples/s (1.23k - 1.29k) with your batches already" in text
    assert "Training runs at 400 samples/s (390 - 410): the model waits 68% (68% - 68%)" in text
    assert "First batch after 0.900 s, 0.400 s between epochs." in text


def test_what_differs_alone_and_through_fit_is_said_apart():
    slower = case("feed", rate=300.0)
    for process in slower["processes"]:
        process["direct_reads"] = [{"samples": 320, "seconds": 0.5}]
    text = "\n".join(sentences(slower))
    assert "Your input delivers 640 samples/s" in text
    assert "Through fit with a step that is free it delivers 300 samples/s" in text


def test_a_model_that_never_waits_needs_no_faster_input():
    text = "\n".join(sentences(case("feed"), case("train", rate=1250.0)))
    assert "so a faster input would not help" in text
    assert "so a faster input would not help" not in "\n".join(sentences())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (audit(), "Every sample once an epoch, in fit, evaluate and predict (3,200 samples, 100"),
        (audit(batches=12, samples=384), "(audited: 384 samples, 12 batches of each pass)"),
        (audit(promise="other_contents"), "No two readings have the same samples"),
        (
            audit(identical=False, verdict="missing_or_repeated", first_difference="11 missing"),
            "fit is not given what the input yields: 11 missing.",
        ),
    ],
)
def test_what_fit_was_given_is_said_as_far_as_it_was_audited(found, expected):
    record = {"audit": found}
    assert expected in "\n".join(sentences(case("feed", record=record)))


def test_the_parts_of_a_batch_add_up():
    (line,) = [each for each in sentences() if each.startswith("Where")]
    assert line == (
        "Where a batch's 80.0 ms go: __getitem__ 71.0 ms (89%), Keras' conversion 4.00 ms (5%), "
        "copy to the device 1.00 ms (1%), the step 25.4 ms (32%); they add up to more because "
        "21.4 ms of them run beside others. A clock adds 1.00 us."
    )
    inline = case("train", rate=300.0)
    (line,) = [each for each in sentences(case("feed"), inline) if each.startswith("Where")]
    assert "the step 25.4 ms (24%), rest 5.27 ms." in line


def test_what_would_help_is_sorted_and_what_loses_batches_is_named():
    wrong = audit(identical=False, verdict="missing_or_repeated", first_difference="11 missing")
    not_tried = {"outcome": "skipped", "error": {"type": "NotApplicable", "message": "no loader"}}
    made = run(
        case("feed"),
        case("train"),
        case("train", rate=690, remedy="workers2", record={"audit": wrong}),
        case("train", rate=401, remedy="bridge", noise=(1.01, 0.99, 1.0)),
        case("train", rate=1250, remedy="in_memory"),
        case("train", remedy="num_workers2", record=not_tried | {"processes": []}),
    )
    kept, bridged, workers = what_would_help(inputs_of(made)[0])
    assert kept.startswith("batches kept in memory, 1,838 MiB: 1.25k samples/s (1.22k - 1.28k), 3")
    assert "690 samples/s" in workers
    assert workers.endswith("but batches are wrong (11 missing): do not")
    assert bridged.startswith("bridge(data): 401 samples/s")
    assert "no difference beyond the noise" in bridged
    report = report_markdown(made, rows_from_run(made), [], plots=[])
    assert "- What would help, measured here:\n  - batches kept in memory, 1,838 MiB" in report
    assert "    bridge(data): 401 samples/s" in terminal_table(made)
    assert "no loader" not in report + terminal_table(made)


def test_inputs_are_compared_where_they_differ_beyond_the_noise():
    slow, fast, same = "train:slow", "train:fast", "train:same"
    found = inputs_of(
        run(
            *(case(bench, loader=slow, rate=200.0) for bench in ("feed", "train")),
            *(case(bench, loader=fast, rate=400.0) for bench in ("feed", "train")),
            *(case(bench, loader=same, rate=401.0) for bench in ("feed", "train")),
        )
    )
    one, other = comparisons(found)
    assert one == "On jax, train:same and train:fast do not differ beyond the noise." or (
        "times as fast" in one
    )
    assert other == "On jax, train:fast trains 2.00 times as fast as train:slow."


def test_inputs_are_compared_by_one_and_the_same_figure():
    """One that no model trains on is compared by what is fed, not with a rate of training."""
    images = [case("feed", loader="train:images"), case("train", loader="train:images", rate=30.0)]
    table = case("feed", loader="train:table", rate=2000.0)
    (line,) = comparisons(inputs_of(run(*images, table)))
    assert line == "On jax, train:table is delivered 5.00 times as fast as train:images."


def test_an_input_that_failed_says_why():
    error = {"type": "KeyError", "message": "no colour"}
    failed = {"outcome": "failed", "error": error, "audit": None, "processes": [], "input": None}
    lines = sentences(case("feed", record=failed))
    assert lines[0] == "train:make_data on jax: could not be read."
    assert "Feeding failed: KeyError: no colour" in lines


@pytest.mark.parametrize(("most", "expected"), [(0.2, True), (0.95, False), (0.68, None)])
def test_a_gate_fails_beyond_the_interval_alone(most, expected):
    noisy = case("train")
    for process, rate in zip(noisy["processes"], (350, 400, 450), strict=True):
        for each in process["rounds"]:
            each["seconds"] = 320 / rate
    (found,) = inputs_of(run(case("feed"), noisy))
    assert judged_wait(found, most) is expected


def test_what_was_not_trained_cannot_be_judged():
    (found,) = inputs_of(run(case("feed")))
    assert judged_wait(found, 0.5) is None


def test_the_limit_of_a_gate_is_a_percentage():
    assert parse_wait("wait=20%") == 0.2
    assert parse_wait(None) is None
    for wrong in ("wait=20", "20%", "wait=100%", "slower=5%"):
        with pytest.raises(ValueError, match=r"must be `wait=` and a percentage below 100"):
            parse_wait(wrong)


def test_the_report_and_the_terminal_say_the_same_and_recommend_no_loader():
    made = run()
    text = report_markdown(made, rows_from_run(made), [], plots=[])
    assert text.startswith("# Does training wait for its data?\n\n## train:make")
    assert "recommend" not in text.partition("## How these were measured")[0]
    assert "Every sample once an epoch" in text
    shown = terminal_table(made)
    assert shown.startswith("train:make_data on jax: Photos, a PyDataset")
    assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_applies_to_its_kinds_and_to_inputs_that_repeat(name):
    known = {"kind": (*REMEDIES[name].kinds, "generator")[0], "steps": 0, "batches": 6}
    known |= {"seconds": 1.0, "promise": "ordered", "narrow": {"x": "uint8"}}
    assert not_applicable(name, **known) is None
    if REMEDIES[name].kinds:
        assert "does not apply to a grain DataLoader" in not_applicable(
            name, **known | {"kind": "grain DataLoader"}
        )
    if REMEDIES[name].narrows:
        assert "none holds the values" in not_applicable(name, **known | {"narrow": {}})
    if REMEDIES[name].joins:
        for few in ({"steps": 6}, {"batches": 5}):
            assert "need epochs of 6 batches or more" in not_applicable(name, **known | few)
    if REMEDIES[name].repeats:
        assert "end of an epoch" in not_applicable(name, **known | {"batches": None})
        assert "end of an epoch" in not_applicable(name, **known | {"steps": 5})
        assert "takes 100 s" in not_applicable(name, **known | {"seconds": 100.0})
        assert "every epoch" in not_applicable(name, **known | {"promise": "other_contents"})


def test_runs_are_compared_without_the_remedies():
    made = run(case("feed"), case("train"), case("train", remedy="workers2"))
    names = [pair.id for pair in pair_cases(made, made).pairs]
    assert sorted(names) == ["feed-train:make_data-none", "train-train:make_data-none"]


def test_a_sample_comes_once_an_epoch_where_that_was_audited():
    said = "Every sample once an epoch, in fit, evaluate and predict (3,200 samples, 100 batches)."
    assert said in sentences(case("feed"), case("train"))
    made = case("feed", record={"audit": audit(batches=60, samples=1920)})
    yields = "fit, evaluate and predict are given what the input yields (audited: 1,920 samples"
    assert any(each.startswith(yields) for each in sentences(made))
    endless = case("feed", about=ABOUT | {"batches": 100})
    endless["case"]["steps"] = 100
    assert any("given what the input yields (3,200" in each for each in sentences(endless))


@pytest.mark.parametrize(
    ("by", "what"), [("labels", "labels, number and form"), ("number", "number and form")]
)
def test_of_random_samples_is_said_what_was_compared(by, what):
    found = audit(promise="other_contents", by=by)
    made = case("feed", record={"audit": found})
    assert any(f"only their {what} were audited" in each for each in sentences(made))
    text = report_markdown(run(made), rows_from_run(run(made)), [], plots=[])
    assert "| all but their values |" in text
    assert "their values are none of it" in text


def test_narrower_dtypes_are_named_where_their_copy_is_faster():
    about = ABOUT | {"narrow": {"x/image": "uint8"}}
    for seconds, said in ((0.0004, True), (0.0009, False)):
        made = run(
            case("feed", about=about), case("train", about=about, parts={"narrow_copy": seconds})
        )
        lines = what_would_help(inputs_of(made)[0])
        assert any(each.startswith("x/image as uint8 instead of float32") for each in lines) is said


def test_narrower_dtypes_that_were_tried_are_one_line():
    about = ABOUT | {"narrow": {"x/image": "uint8"}}
    own = (case(bench, about=about, parts={"narrow_copy": 0.0004}) for bench in ("feed", "train"))
    made = run(*own, case("train", remedy="narrow", rate=600.0))
    (line,) = what_would_help(inputs_of(made)[0])
    assert line.startswith(
        "x/image as uint8 instead of float32, cast behind the input: 600 samples/s"
    )
    assert "1.50 times; the same values; wait 52%" in line
    assert line.endswith("the copy of a batch to the device takes 0.400 ms instead of 1.00 ms")


def test_a_step_that_is_free_is_not_said_to_wait():
    made = run(case("feed"), case("feed", remedy="bridge", rate=800.0))
    (line,) = what_would_help(inputs_of(made)[0])
    assert line.endswith("2.00 times")


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 1), (1, 1), (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERRUPTED)],
)
def test_a_gate_is_judged_however_the_run_ended(before, after):
    config = SimpleNamespace(stash=pytest.Stash(), getoption=lambda name: None)
    found = run(case("feed"), case("train"))
    config.stash[hooks.SETTINGS] = SimpleNamespace(most_wait=0.05, resumed=found)
    session = SimpleNamespace(config=config, exitstatus=before)
    hooks.pytest_sessionfinish(session, before)
    assert session.exitstatus == after
    (line,) = config.stash[hooks.JUDGED]
    assert "FAILED, it waits 68%" in line


def test_a_gate_says_what_it_found():
    (found,) = inputs_of(run())
    limit = "--fail-if wait=20%, train:make_data on jax: "
    assert judgement(found, 0.2).startswith(f"{limit}FAILED, it waits 68% (")
    assert judgement(found, 0.9).startswith("--fail-if wait=90%, train:make_data on jax: passed, ")
    (found,) = inputs_of(run(case("feed")))
    assert judgement(found, 0.2) == f"{limit}cannot be told, because training was not measured."


@pytest.mark.parametrize(("mebibytes", "said"), [(0.05, False), (3, True)])
def test_growth_is_named_with_its_interval_where_it_matters(mebibytes, said):
    growth = Slope(value=mebibytes * 2**20, at_zero=0.0, low=2.0**10, high=4.0 * 2**20, n=6)
    text = _growth(SimpleNamespace(growth=growth), "an epoch")
    assert text == (", growing 3.00 MiB an epoch (0.000977 - 4.00)" if said else "")


def test_the_terminal_names_the_warnings_of_the_report():
    assert "The report has warnings" not in terminal_table(run())
    busy = {"load_average_1min": 9.0, "cores": 2}
    made = raw_run([case("feed"), case("train")], schema=8, method=3, environment=busy)
    said = " ".join(terminal_table(parse_run(made)).split())
    assert "The report has warnings: The machine was busy before the run" in said
