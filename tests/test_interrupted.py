"""Whatever ends a run: no process is left behind, and `run.json` can be read."""

import json
import signal
import time

import psutil
import pytest
import suite

from keras_loader_bench.bench.report import write_report

pytestmark = pytest.mark.long


def start_and_wait_for(text: str, results):
    loaders = "eager_sequence,numpy,sequence,tuned_tf_data"
    process = suite.start("-k", "feed", "--loaders", loaders, results=results)
    output = []
    for line in process.stdout:
        output.append(line)
        if text in line:
            return process
    raise AssertionError("".join(output))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "run"


def test_ctrl_c_in_the_second_case(results, keras_home):
    process = start_and_wait_for("[2/4]", results)
    # pytest alone: a terminal would also signal children that share its process group.
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert suite.processes_of(keras_home) == []
    run = json.loads((results / "run.json").read_text())
    assert run["status"] == "interrupted"
    assert [case["outcome"] for case in run["cases"]][-1] == "interrupted"
    assert "report.md" in output
    assert "interrupted" in (results / "report.md").read_text()
    assert "Traceback" not in output


def test_ctrl_c_while_the_report_is_written_keeps_what_was_measured(results, tmp_path):
    (tmp_path / "interrupting.py").write_text(
        "from keras_loader_bench.bench import report\n"
        "def write_report(folder):\n"
        "    raise KeyboardInterrupt\n"
        "report.write_report = write_report\n"
    )
    options = ("-p", "interrupting", "-k", "feed", "--loaders", "sequence")
    done = suite.run(*options, results=results, PYTHONPATH=str(tmp_path))
    assert done.exit_status == pytest.ExitCode.INTERRUPTED
    assert "Interrupted before the report was written." in done.output
    assert f"`keras-loader-bench report {results}` makes the report." in done.output
    assert "Traceback" not in done.output
    assert {case.outcome for case in done.run.cases} == {"ok"}


def test_sigterm_ends_a_run_as_ctrl_c_does(results, keras_home):
    process = start_and_wait_for("[2/4]", results)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert suite.processes_of(keras_home) == []
    assert json.loads((results / "run.json").read_text())["status"] == "interrupted"
    assert "interrupted" in (results / "report.md").read_text()
    assert "Traceback" not in output


def test_a_killed_run_leaves_what_it_measured(results, keras_home):
    process = start_and_wait_for("[2/4]", results)
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()
    deadline = time.monotonic() + 2
    while (left := suite.processes_of(keras_home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    run = json.loads((results / "run.json").read_text())
    assert run["status"] == "running"
    assert [case["outcome"] for case in run["cases"]] == ["ok"]
    assert results / "report.md" in write_report(results)
    assert "3 of the" in (results / "report.md").read_text()


def test_processes_of_finds_processes(keras_home):
    """So that the tests above cannot pass by looking in the wrong place."""
    child = psutil.Popen(["sleep", "60"])
    assert suite.processes_of(keras_home) == [child]
    child.kill()
    child.wait()
