"""What the report says of an accelerator. All figures and the card are invented."""

import copy
import json
import re

import pandas as pd
import pytest

from keras_loader_bench.bench.report import RunFileError, read_run, write_report

MIB = 2**20


def reading(t, used, **changes):
    return {
        "t": t,
        "memory_used_bytes": used,
        "utilization": 0.8,
        "power_w": 300.0,
        "energy_j": None,
        "sm_clock_hz": 1.5e9,
        "throttle": [],
    } | changes


@pytest.fixture
def report(run, tmp_path):
    """The report of a run with one training case on a card; the case is changed as asked."""
    template = next(result for result in run["cases"] if result["case"]["bench"] == "feed")

    def write(**changes):
        result = copy.deepcopy(template)
        result["case"] |= {"bench": "train", "loader": "sequence"}
        result["rounds"] = [
            {
                "samples": 100_000,
                "epochs": 2,
                "ceiling_seconds": 1.8,
                "seconds": 2.0 + 0.02 * number,
                "cpu_seconds": 1.0,
                "ceiling_start": 10.0 * number - 2,
                "card_start": 10.0 * number,
                "card_end": 10.0 * number + 2.4,
                "energy_j": 500.0,
                "energy_source": "counter",
            }
            for number in range(1, 8)
        ]
        result |= {
            "id": "train-on-a-card",
            "known_failure": None,
            "device": "Test 100",
            "device_memory": {
                "peak_device_bytes": 700 * MIB,
                "device_bytes_in_use": 300 * MIB,
                "pinned_peak_bytes": None,
                "reason": None,
            },
            "time_to_first_batch_s": [0.05] * 7,
            "memory": None,
            "card": {
                "idle": reading(0.0, 400 * MIB),
                "readings": [
                    reading(0.0, 400 * MIB, utilization=0.0, throttle=["power cap"]),
                    *(reading(10.0 * n + 0.5, 1900 * MIB) for n in range(1, 8)),
                    reading(90.0, 5000 * MIB, throttle=["power cap"]),  # the audit
                ],
                "other_processes": 0,
                "missing": {},
            },
        } | changes
        content = run | {"schema": 5, "cases": [result], "probes": []}
        (tmp_path / "run.json").write_text(json.dumps(content))
        read_run(tmp_path)
        write_report(tmp_path)
        return (tmp_path / "report.md").read_text()

    return write


def row_of(text):
    section = text.partition("## Accelerator")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return dict(
        zip(
            (cell.strip() for cell in lines[0].split("|")[1:-1]),
            (cell.strip() for cell in lines[2].split("|")[1:-1]),
            strict=True,
        )
    )


def test_a_row_has_every_figure_of_the_card(report):
    row = row_of(report())
    assert row == {
        "loader": "`sequence`",
        "samples/s": "48.1k (46.7k - 49.5k)",
        "AU": "0.87 (0.84 - 0.89)",
        "data stall": "0.13 (0.11 - 0.16)",
        "time to first batch (ms)": "50.0 (50.0 - 50.0)",
        "device memory (MiB)": "700",
        "in use after the rounds (MiB)": "300",
        "GPU memory over idle (MiB)": "1,500",
        "energy (J per 1,000 samples)": "5.00 (5.00 - 5.00)",
        "power (W)": "300",
        "GPU busy": "0.80",
        "clock (MHz)": "1,500",
    }


def test_rounds_that_are_too_short_for_the_counter_are_marked(report, run):
    short = [
        {"samples": 100, "seconds": 1.0, "ceiling_seconds": 0.9, "cpu_seconds": 1.0}
        | {"card_start": 10.0 * n, "card_end": 10.0 * n + 1.2, "energy_j": 0.5}
        for n in range(1, 8)
    ]
    text = report(rounds=short)
    row = row_of(text)
    assert row["energy (J per 1,000 samples)"] == "5.00 (5.00 - 5.00) (coarse)"
    assert row["GPU busy"] == "0.80 (coarse)"
    assert "*Coarse*: rounds were shorter than 2 s." in text
    assert "Coarse" not in report()


def test_torch_tells_what_it_pinned(report):
    memory = {"peak_device_bytes": 5 * MIB, "pinned_peak_bytes": 24 * MIB, "reason": None}
    assert row_of(report(device_memory=memory))["pinned on the host (MiB)"] == "24"


def test_what_happens_outside_of_rounds_is_no_throttling(report):
    assert "throttled by" not in report()


@pytest.mark.parametrize("t", [20.3, 19.0], ids=["loader", "ceiling"])
def test_a_throttled_round_is_flagged(report, t):
    card = {
        "idle": reading(0.0, 0),
        "readings": [reading(t, 0, throttle=["hardware thermal slowdown"])],
        "missing": {},
    }
    text = report(card=card)
    assert (
        "**The GPU was throttled by hardware thermal slowdown** in rounds of `sequence` (train)"
        in text
    )


def test_other_processes_are_reported(report):
    card = {"idle": None, "readings": [], "other_processes": 2, "missing": {}}
    text = report(card=card)
    assert "**Other processes used the GPU** during rounds of `sequence` (train)" in text


def test_without_nvml_the_columns_say_so_and_why(report):
    text = report(
        card={"reason": "NVML: NVML Shared Library Not Found"},
        device_memory={"peak_device_bytes": None, "reason": "RuntimeError: no statistics"},
        rounds=[{"samples": 100, "seconds": 1.0, "ceiling_seconds": 0.9, "cpu_seconds": 1.0}] * 7,
    )
    row = row_of(text)
    for heading in ("device memory (MiB)", "energy (J per 1,000 samples)", "power (W)"):
        assert row[heading] == "not available"
    assert row["AU"].startswith("0.90")
    assert "NVML Shared Library Not Found" in text
    assert "RuntimeError: no statistics" in text


def test_one_missing_figure_is_explained_and_leaves_the_others(report):
    card = {
        "idle": reading(0.0, 0),
        "readings": [reading(20.3, 5 * MIB, power_w=None)],
        "missing": {"power_w": "NVML: Not Supported"},
    }
    text = report(card=card)
    row = row_of(text)
    assert row["power (W)"] == "not available"
    assert row["GPU busy"] == "0.80"
    assert "Not available: power (NVML: Not Supported)." in text


def test_a_figure_that_failed_once_and_is_there_needs_no_excuse(report):
    card = {
        "idle": reading(0.0, 0),
        "readings": [reading(20.3, 0), reading(20.4, 0, power_w=None)],
        "missing": {"power_w": "NVML: Unknown Error"},
    }
    assert "Unknown Error" not in report(card=card)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"readings": [{"power_w": 1}]}, "readings[0].t"),
        ({"readings": [reading(0.0, "much")]}, "readings[0].memory_used_bytes"),
        ({"idle": 5}, "card.idle"),
        ({"missing": ["power"]}, "card.missing"),
    ],
)
def test_a_damaged_record_of_a_card_is_named(report, card, message):
    with pytest.raises(RunFileError, match=re.escape(message)):
        report(card=card)


def test_the_summary_has_device_memory_and_energy(report, tmp_path):
    report()
    line = pd.read_csv(tmp_path / "summary.csv").iloc[0]
    assert line.train_peak_device_bytes == 700 * MIB
    assert line.train_card_over_idle_bytes == 1500 * MIB
    assert line.train_energy_j_per_1000_samples == 5.0
    assert not line.train_card_throttled


def test_a_case_on_a_cpu_has_no_such_section(report):
    assert "## Accelerator" not in report(device="cpu", card=None, device_memory=None)


def test_text_from_a_driver_stays_text(report):
    text = report(device="<b>card</b> | `x`", card={"reason": "<script>alert(1)</script> | *x*"})
    assert "<script>" not in text
    assert "<b>" not in text
