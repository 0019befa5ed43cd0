"""The README's commands, the options, and what the terminal shows."""

import json
import re
import subprocess
import sys
from functools import partial

import pytest
import suite
from conftest import PROJECT, TESTS

from keras_loader_bench.bench.parent.timed_case import BOUNDARY_EPOCHS, FIRST_BATCH_REPEATS
from keras_loader_bench.bench.plan.default_backend import configured_backend
from keras_loader_bench.loaders import LOADERS

finished = suite.main_job.fixture()


def test_the_main_job_succeeds(finished):
    assert finished.exit_status == 0, finished.output
    assert finished.run.status == "complete"
    assert {case.outcome for case in finished.run.cases} == {"ok"}
    assert len(finished.run.cases) == finished.run.planned_cases == 6


def test_all_audits_agree(finished):
    digests = {case.audit.digest for case in finished.run.cases}
    assert digests == {case.audit.expected_digest for case in finished.run.cases}
    assert len(digests) == 1


def test_cases_that_need_the_same_audit_share_one(finished):
    of_loader = {}
    for case in finished.run.cases:
        of_loader.setdefault(case.case.loader, set()).add(case.audit.case)
    assert all(len(audited) == 1 for audited in of_loader.values()), "over three benchmarks"
    assert set().union(*of_loader.values()) < {case.id for case in finished.run.cases}


def test_every_round_has_its_ceiling_and_its_cpu(finished):
    for case in finished.run.cases:
        timed = case.case.bench != "memory"
        assert len(case.rounds) == (2 if timed else 0)
        feed = case.case.bench == "feed"
        assert len(case.processes[0].time_to_first_batch_s) == (FIRST_BATCH_REPEATS if feed else 0)
        assert len(case.processes[0].epoch_boundary_s) == (BOUNDARY_EPOCHS - 1 if feed else 0)
        assert all(seconds > 0 for seconds in case.processes[0].epoch_boundary_s)
        for measured in case.rounds:
            for name in ("seconds", "ceiling_seconds", "cpu_seconds", "ceiling_cpu_seconds"):
                assert getattr(measured, name) > 0
            assert measured.parent_overhead_seconds > 0


def test_memory_has_a_baseline_and_phases(finished):
    for case in finished.run.cases:
        if case.case.bench == "memory":
            phases = [reading.phase for reading in case.memory.readings]
            assert set(phases) >= {"baseline", "loader", "epoch 1", "closed"}
            assert case.memory.baseline.anon > 100 * 2**20  # TensorFlow is loaded


def test_progress_says_case_elapsed_left_and_rate(finished):
    first = r"\[1/6\] \w+-tensorflow-\w+-w0-b64-float32-n512: start; 0:0"
    assert re.search(first, finished.output)
    assert "samples/s" in finished.output
    assert " so far, about " in finished.output
    assert "\r" not in finished.output, "there is no terminal here: plain lines only"


def test_the_table_fits_100_columns_and_the_report_is_named(finished):
    _, _, table = finished.output.partition("loaders compared")
    assert "sequence" in table
    table, _, after = table.partition("Report: ")  # pytest may list durations below it
    assert max(map(len, table.splitlines())) <= 100
    assert after.startswith(str(finished.folder / "report.md"))
    for name in ("report.md", "summary.csv", "rates.svg", "rates.png", "footprint.svg"):
        assert (finished.folder / name).stat().st_size > 0


def test_pytest_benchmark_gets_the_figures(finished):
    saved = json.loads((finished.folder.parent / "benchmark.json").read_text())
    assert len(saved["benchmarks"]) == 6
    for benchmark in saved["benchmarks"]:
        extra = benchmark["extra_info"]
        assert extra["identical"] is True
        timed = "memory" not in benchmark["name"]
        names = {"samples_per_s", "accelerator_utilization"} if timed else {"footprint_bytes"}
        assert names <= set(extra)
        assert benchmark["stats"]["rounds"] == (2 if timed else 1)


@pytest.fixture
def pytest_bench(asking):
    return partial(asking, "-p", "no:cacheprovider", "bench/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loaders", "sequnce"), "Unknown loader `sequnce`; choose from eager_sequence,"),
        (("--loaders", "numpy,numpy"), "`numpy` is given twice"),
        (("--keras-backends", "theano"), "Unknown backend `theano`; choose from jax, tensorflow"),
        (("--num-workers", "-1"), "A number of workers must not be negative, got -1"),
        (("--num-workers", "two"), "`--num-workers` takes whole numbers"),
        (("--pixels", "float16"), "Unknown pixels `float16`; choose from float32, uint8"),
        (("--source", "mnist"), "`source` must be one of"),
        (("--batch-sizes", "64,x"), "`--batch-sizes` takes whole numbers"),
        (("--batch-sizes", "0"), "A batch size must be positive, got 0"),
        (("--samples", "-5"), "A number of samples must be positive, got -5"),
        (("--samples", "50,50"), "`--samples` contains 50 twice"),
        (("--memory-budget", "much"), "`--memory-budget`: A size must be a number of bytes such"),
        (("--memory-budget", "0"), "`--memory-budget`: A size must be a number of bytes such"),
        (("bench/bench_ranks.py", "--memory-budget", "1GiB"), "and `--ranks 1,2` asks for several"),
        (("--device", "tpu"), "Unknown device `tpu`; choose from auto, cpu, gpu"),
        (("--precision", "float16"), "Unknown precision `float16`; choose from float32,"),
        (("--jit-compile", "yes"), "Unknown jit_compile `yes`; choose from auto, on, off"),
        (("--steps-per-execution", "0"), "A number of steps per execution must be positive"),
        (("--step-ms", "0.5,fast"), "`--step-ms` takes numbers of milliseconds"),
        (("--step-ms", "0"), "A time of a step (ms) must be positive, got 0.0"),
        (("--step-ms", "2,2"), "`--step-ms` contains 2 twice"),
        (("--step-cpu",), "`--step-cpu` changes emulated steps; add `--step-ms`"),
        (
            ("--step-ms", "1", "--steps-per-execution", "2"),
            "`--steps-per-execution` must be 1, got 2",
        ),
        (("--benchmark-compare",), "use `keras-loader-bench compare BEFORE AFTER`"),
        (("--benchmark-disable",), "leaves nothing to measure; use `--dry-run`"),
        (("-n", "2"), "Cases are measured one at a time"),
        (("-n", "2", "--benchmark-only"), "Cases are measured one at a time"),
        (("-n", "2", "--collect-only"), "Cases are measured one at a time"),
        (("--rounds", "0"), "`rounds` must be positive, got 0"),
        (("--round-seconds", "nan"), "`round_seconds` must be positive, got nan"),
        (("--seed", "-1"), "`seed` must not be negative, got -1"),
        (("--case-timeout", "0"), "`case_timeout_s` must be positive, got 0"),
        (("--data-dir", "/nowhere"), "`--data-dir /nowhere` does not exist; name the folder"),
        (("--data-dir", "/", "--source", "synthetic"), "must not be given with the synthetic"),
    ],
)
def test_bad_options_are_refused_before_anything_starts(pytest_bench, options, message, tmp_path):
    results = tmp_path / "run"
    done = pytest_bench(*options, "--results-dir", str(results))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert not results.exists()


def test_a_test_of_several_processes_may_start_a_run(pytest_bench, monkeypatch):
    """pytest-benchmark would take it for one of these processes, and measure nothing."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    done = pytest_bench("--benchmark-only", "--collect-only", "-q", "-k", "feed and sequence")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pytest_that_is_asked_says_what_one_of_its_own_says(pytest_bench):
    """So that the tests here, which ask, hold for a user."""
    for options in (["--loaders", "sequnce"], ["--collect-only", "-q", "-k", "feed"]):
        asked = pytest_bench(*options)
        started = subprocess.run(
            [sys.executable, "-m", *asked.args], cwd=PROJECT, capture_output=True, text=True
        )
        assert asked.returncode == started.returncode
        assert asked.stderr == started.stderr
        # The last line says how long it took.
        assert asked.stdout.splitlines()[:-1] == started.stdout.splitlines()[:-1]


def test_emulated_steps_alone_need_their_times(asking, pytest_bench):
    """Where `bench/` is named they are left out, and the rest is measured."""
    done = asking("-p", "no:cacheprovider", "bench/bench_emulated.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Emulated steps need `--step-ms`, such as" in done.stderr
    assert "emulated" not in pytest_bench("--collect-only", "-q").stdout


def test_a_folder_that_holds_a_run_is_not_overwritten(finished, pytest_bench):
    before = (finished.folder / "run.json").read_bytes()
    done = pytest_bench("--results-dir", str(finished.folder))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "already contains a run" in done.stderr
    assert (finished.folder / "run.json").read_bytes() == before


def test_a_dry_run_that_is_to_be_saved_lists_its_cases(pytest_bench):
    for option in ("--benchmark-save=x", "--benchmark-autosave", "--benchmark-disable"):
        done = pytest_bench("--dry-run", "--loaders", "numpy", "-k", "feed", option)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[1/2] feed-tensorflow-numpy" in done.stdout
        assert "[2/2] feed-tensorflow-ceiling" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_an_option_of_the_benchmarks_without_their_folder_is_explained():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quick"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "`--quick` is an option of the benchmarks: `pytest bench/" in done.stderr


def test_tests_of_other_folders_are_collected_beside_the_benchmarks(asking, tmp_path):
    test = tmp_path / "test_other.py"
    test.write_text("def test_other(): pass\n")
    done = asking(
        "-p", "no:cacheprovider", "bench/bench_feed.py", str(test), "--collect-only", "-q"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "::test_other" in done.stdout
    assert "test_feed[feed-tensorflow-sequence" in done.stdout


def test_cases_can_be_chosen_by_name(pytest_bench):
    done = pytest_bench("--collect-only", "-q", "-k", "feed and grain", "--batch-sizes", "32,64")
    assert [line for line in done.stdout.splitlines() if "::" in line] == [
        f"bench/bench_feed.py::test_feed[feed-tensorflow-grain-w0-b{size}-float32-n50000]"
        for size in (32, 64)
    ]


def test_every_loader_is_benchmarked_by_default(pytest_bench):
    done = pytest_bench("--collect-only", "-q")
    for bench in ("feed", "train", "memory"):
        for loader, entry in LOADERS.items():
            listed = f"[{bench}-tensorflow-{loader}-w0-b64-float32-n50000]" in done.stdout
            assert listed == (not entry.opt_in)


def test_a_quick_run_has_two_loaders_unless_others_are_named(pytest_bench):
    def loaders(*options):
        listed = pytest_bench("--collect-only", "-q", "--quick", *options).stdout
        return {line.split("-")[2] for line in listed.splitlines() if "-tensorflow-" in line}

    assert loaders() == {"eager_sequence", "sequence"}
    assert loaders("--loaders", "grain,sequence,numpy") == {"grain", "sequence", "numpy"}


def test_breaking_points_are_looked_for_under_a_budget_only(pytest_bench):
    options = ("--collect-only", "-q", "--loaders", "numpy,grain", "--samples", "50,100")
    assert "breaking_point" not in pytest_bench(*options).stdout
    done = pytest_bench(*options, "--memory-budget", "1GiB")
    listed = [line for line in done.stdout.splitlines() if "breaking_point" in line]
    assert [line.partition("[")[2] for line in listed] == [
        f"memory-tensorflow-{loader}-w0-b64-float32]" for loader in ("numpy", "grain")
    ]


def test_backends_and_workers_are_axes_and_a_loader_without_workers_is_listed_once(pytest_bench):
    options = ("--keras-backends", "jax,torch", "--num-workers", "0,2", "--loaders", "numpy,grain")
    done = pytest_bench("--collect-only", "-q", "-k", "feed", *options)
    assert [line.partition("[")[2] for line in done.stdout.splitlines() if "::" in line] == [
        f"feed-{backend}-{loader}-b64-float32-n50000]"
        for loaders in (("numpy-w0", "grain-w0", "grain-w2"), ("ceiling-w0",))
        for backend in ("jax", "torch")
        for loader in loaders
    ]


def test_the_backend_is_the_one_that_keras_is_set_to(keras_home, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    assert configured_backend() == "tensorflow"
    keras_home.mkdir()
    (keras_home / "keras.json").write_text('{"backend": "torch"}')
    monkeypatch.setattr("keras_loader_bench.loaders.registry.find_spec", lambda name: True)
    assert configured_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert configured_backend() == "jax"


def test_the_readmes_test_command_runs_the_tests(pytestconfig):
    """All but the long ones: no folder is named, so pytest takes `testpaths`."""
    assert suite.readme_arguments("the tests") == ["-n", "2", "--dist", "loadfile"]
    assert pytestconfig.rootpath == PROJECT
    assert pytestconfig.getini("testpaths") == [TESTS.name]
    assert pytestconfig.getini("addopts")[-2:] == ["-m", "not long and not measures"]
