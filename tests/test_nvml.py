"""A card is read as far as its driver lets us; nothing that is missing fails a run."""

import time

import pynvml
import pytest
from fake_nvml import FakeCard, FakeNvml

from keras_loader_bench.bench.sensors import card_monitor
from keras_loader_bench.bench.sensors.card_monitor import CardMonitor, describe_card, open_card
from keras_loader_bench.bench.sensors.nvml import Card, CardError

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_reading_is_in_si_units():
    reading = Card(0, FakeNvml(FakeCard(reasons=0x4 | 0x1))).read()
    assert reading == {
        "memory_used_bytes": 500 * 2**20,
        "utilization": 0.4,
        "power_w": 200.0,
        "energy_j": 1000.0,
        "sm_clock_hz": 1.5e9,
        "throttle": ["power cap"],  # an idle card, 0x1, is not held down
    }


@pytest.mark.parametrize(
    ("function", "figure"),
    [
        ("nvmlDeviceGetMemoryInfo", "memory_used_bytes"),
        ("nvmlDeviceGetTotalEnergyConsumption", "energy_j"),
        ("nvmlDeviceGetPowerUsage", "power_w"),
        ("nvmlDeviceGetUtilizationRates", "utilization"),
        ("nvmlDeviceGetClockInfo", "sm_clock_hz"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "throttle"),
    ],
)
@pytest.mark.parametrize("error", [NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION])
def test_a_figure_that_the_card_does_not_have_costs_nothing_else(function, figure, error):
    card = Card(0, FakeNvml(FakeCard(errors={function: error})))
    reading = card.read()
    assert [name for name, value in reading.items() if value is None] == [figure]
    assert card.missing == {figure: f"NVML: {pynvml.NVMLError(error)}"}


def test_an_older_driver_knows_throttling_under_its_older_name():
    errors = {"nvmlDeviceGetCurrentClocksEventReasons": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}
    assert Card(0, FakeNvml(FakeCard(reasons=0x40, errors=errors))).read()["throttle"] == [
        "hardware thermal slowdown"
    ]


def test_a_version_without_the_older_name_is_read_too():
    older = "nvmlDeviceGetCurrentClocksThrottleReasons"
    card = Card(0, FakeNvml(FakeCard(reasons=0x80), unknown=(older,)))
    assert card.read()["throttle"] == ["power brake"]


def test_a_driver_that_is_too_old_for_a_function_costs_a_figure():
    """The error of `pynvml` for it is none of NVML's."""
    error = pynvml.NVMLLibraryMismatchError("Unversioned function called")
    assert not isinstance(error, pynvml.NVMLError)
    fake = FakeCard(errors={"nvmlDeviceGetComputeRunningProcesses": error})
    record = CardMonitor(Card(0, FakeNvml(fake))).stop()
    assert record.other_processes is None
    assert "Unversioned function" in record.missing["processes"]


def test_a_sibling_that_is_lost_hides_no_card():
    lost = FakeCard(errors={"nvmlDeviceGetUUID": pynvml.NVML_ERROR_GPU_IS_LOST})
    card = Card("GPU-2222", FakeNvml(lost, FakeCard(name="B", uuid="GPU-22222222-bbbb")))
    assert card.describe()["name"] == "B"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "CUDA_VISIBLE_DEVICES": "1"}, "may be another"),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1"}, None),
        ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "CUDA_VISIBLE_DEVICES": "GPU-2222"}, None),
    ],
)
def test_a_number_that_may_mean_another_card_is_not_trusted(environment, message, monkeypatch):
    two = FakeNvml(FakeCard(name="A"), FakeCard(name="B", uuid="GPU-22222222-bbbb"))
    monkeypatch.setattr(card_monitor, "Card", lambda which: Card(which, two))
    if message is None:
        assert open_card(environment).describe()["name"] == "B"
    else:
        with pytest.raises(CardError, match=message):
            open_card(environment)
        assert two.open == 0


@pytest.mark.parametrize(
    ("which", "name"), [(0, "A"), (1, "B"), ("GPU-2222", "B"), ("gpu-1111", "A")]
)
def test_the_card_in_use_is_read_among_two(which, name):
    two = FakeNvml(FakeCard(name="A"), FakeCard(name="B", uuid="GPU-22222222-bbbb"))
    card = Card(which, two)
    assert card.describe() == {
        "name": name,
        "memory_bytes": 80 * 2**30,
        "driver": "580.65.06",
        "count": 2,
    }


@pytest.mark.parametrize(
    ("which", "library", "reason"),
    [
        (0, FakeNvml(init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND), "Library Not Found"),
        (0, FakeNvml(init_error=pynvml.NVML_ERROR_DRIVER_NOT_LOADED), "Driver Not Loaded"),
        (0, FakeNvml(), "Invalid Argument"),
        (3, FakeNvml(FakeCard()), "Invalid Argument"),
        ("MIG-9999", FakeNvml(FakeCard()), "no GPU `MIG-9999`"),
    ],
)
def test_a_card_that_cannot_be_read_says_why(which, library, reason):
    with pytest.raises(CardError, match=reason):
        Card(which, library)
    assert library.open == 0


def test_a_machine_without_a_card_is_described_by_the_reason(monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlInit", FakeNvml(init_error=12).nvmlInit)
    assert describe_card({}) == {"reason": "NVML: NVML Shared Library Not Found"}
    assert describe_card({"CUDA_VISIBLE_DEVICES": ""}) == {
        "reason": "CUDA_VISIBLE_DEVICES hides every card"
    }
    with pytest.raises(CardError):
        open_card({"CUDA_VISIBLE_DEVICES": "-1"})


def test_the_energy_of_a_round_is_that_of_the_counter():
    fake = FakeCard()
    monitor = CardMonitor(Card(0, FakeNvml(fake)))
    start = monitor.read()
    fake.energy_mj += 42_000
    assert monitor.energy(start, monitor.read()) == (42.0, "counter")
    monitor.stop()


@pytest.mark.parametrize(
    "errors", [{}, {"nvmlDeviceGetTotalEnergyConsumption": NOT_SUPPORTED}], ids=["slow", "none"]
)
def test_without_a_counter_that_moves_power_is_integrated(errors):
    monitor = CardMonitor(Card(0, FakeNvml(FakeCard(errors=errors))))
    start = monitor.read()
    time.sleep(0.35)
    end = monitor.read()
    joules, source = monitor.energy(start, end)
    assert source == "power"
    assert joules == pytest.approx(200 * (end.t - start.t))
    monitor.stop()


def test_without_power_there_is_no_energy():
    errors = {
        "nvmlDeviceGetTotalEnergyConsumption": NOT_SUPPORTED,
        "nvmlDeviceGetPowerUsage": NOT_SUPPORTED,
    }
    monitor = CardMonitor(Card(0, FakeNvml(FakeCard(errors=errors))))
    assert monitor.energy(monitor.read(), monitor.read()) == (None, None)
    assert set(monitor.stop().missing) == {"energy_j", "power_w"}


def test_the_first_reading_is_of_the_card_before_the_case():
    fake = FakeCard()
    monitor = CardMonitor(Card(0, FakeNvml(fake)))
    fake.used_bytes += 2**30
    monitor.read()
    record = monitor.stop()
    assert record.idle.memory_used_bytes == 500 * 2**20
    assert record.readings[-1].memory_used_bytes == 500 * 2**20 + 2**30


@pytest.mark.parametrize(
    ("before", "during", "own", "others"),
    [
        ([], [7], 1, 0),
        ([5], [5, 7], 1, 1),
        ([], [7, 8], 1, 1),
        ([5], [5], 1, 1),
        ([], [7, 8], 2, 0),  # two ranks on one card
        ([], [7, 8, 9], 2, 1),
    ],
)
def test_processes_beside_the_case_are_noticed(before, during, own, others):
    fake = FakeCard(pids=before)
    monitor = CardMonitor(Card(0, FakeNvml(fake)), own=own)
    fake.pids = during
    time.sleep(0.3)
    assert monitor.stop().other_processes == others


def test_processes_may_be_a_secret():
    errors = {"nvmlDeviceGetComputeRunningProcesses": pynvml.NVML_ERROR_NO_PERMISSION}
    record = CardMonitor(Card(0, FakeNvml(FakeCard(errors=errors)))).stop()
    assert record.other_processes is None
    assert record.missing == {"processes": "NVML: Insufficient Permissions"}


def test_a_driver_that_disappears_ends_the_readings_and_nothing_else():
    library = FakeNvml(FakeCard())
    monitor = CardMonitor(Card(0, library))
    library.gone = True
    time.sleep(0.4)
    calls = library.calls
    time.sleep(0.3)
    assert library.calls == calls, "nobody asks a driver that is gone again and again"
    record = monitor.stop()
    assert record.readings[-1].power_w is None
    assert record.missing["power_w"] == "NVML: GPU is lost"
    assert record.idle.power_w == 200.0
