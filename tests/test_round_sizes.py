"""Rounds are as long as they should be, also where something disturbed a calibration."""

import io
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest

from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.progress import Progress
from keras_loader_bench.bench.parent.timed_case import time_rounds
from keras_loader_bench.bench.plan.calibration import batches_of_round, calibrated, limits_of
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.upgrade import upgrade

PROTOCOL = Protocol(rounds=3, steady_round_seconds=0.4)
CASE = Case(
    bench="emulated",  # which has no figures but those of rounds
    step_ms=1.0,
    backend="jax",
    loader="numpy",
    batch_size=10,
    pixels="uint8",
    samples=50_000,
)


class FakeChild:
    """A process that delivers so many samples per second.

    Args:
        rate: of its rounds.
        while_calibrating: of each of its calibrations.
        most: samples of an epoch.
    """

    def __init__(self, rate, while_calibrating=(), most=CASE.samples):
        self.rate, self.most = rate, most
        self.while_calibrating = list(while_calibrating)
        self.calls = Counter()

    def call(self, method, **arguments):
        self.calls[method] += 1
        return getattr(self, method, lambda **_: 0.0)(**arguments)

    def records(self):
        return []

    def import_framework(self):
        return {"device": "cpu"}

    def calibrate(self, *, seconds, accelerator_seconds, fewest=1):
        rate = self.while_calibrating.pop(0)
        return {"samples": min(int(rate * seconds), self.most), "epochs": 1}

    def prepare_round(self, *, loader, epoch, samples, epochs):
        self.samples = samples

    def round(self):
        return {"samples": self.samples, "epochs": 1, "seconds": self.samples / self.rate}


class Results:
    def add_backend(self, name, backend):
        pass


@pytest.fixture
def measured(source):
    """Returns a function that measures one more process of a case: the sizes of its rounds."""
    numbers = count(1)
    run = Measurement(
        CASE,
        protocol=PROTOCOL,
        source=source,
        results=Results(),
        progress=Progress(Counter(emulated=5), PROTOCOL, stream=io.StringIO()),
    )

    def measured(child):
        run.case = replace(CASE, samples=child.most)
        run.process = ProcessRecord(number=next(numbers))
        run.record.processes.append(run.process)
        run.progress.begin(run.case, run.process.number)
        time_rounds(run, child, None)
        return [each.samples for each in run.process.rounds]

    return measured


def test_the_rounds_of_a_quiet_process_are_repeated_by_the_others(measured):
    first = FakeChild(15_700, [15_700])
    assert measured(first) == [6280] * 3
    for rate in (15_700, 10_000, 25_000):
        later = FakeChild(rate)
        assert measured(later) == [6280] * 3
        assert later.calls["calibrate"] == 0
        assert later.calls["round"] == 2 * 3
        assert later.calls["warm_up"] == 1


def test_a_disturbed_calibration_is_repeated_where_the_rounds_are_short(measured):
    assert measured(FakeChild(15_700, [711, 15_700])) == [6280] * 3


def test_a_process_that_was_disturbed_from_its_begin_to_its_end_sets_no_sizes(measured):
    assert measured(FakeChild(711, [711])) == [284] * 3
    assert measured(FakeChild(15_700, [15_700])) == [6280] * 3
    assert measured(FakeChild(15_700)) == [6280] * 3, "of the last process, not of the first"


def test_a_disturbed_process_makes_no_round_shorter(measured):
    assert measured(FakeChild(15_700, [15_700])) == [6280] * 3
    assert measured(FakeChild(711)) == [6280] * 3
    # Short once more, as something helped: what a calibration finds then is smaller still.
    assert measured(FakeChild(60_000, [700])) == [6280] * 3


def test_a_round_of_a_whole_epoch_is_as_long_as_it_can_be(measured):
    first = FakeChild(15_700, [15_700], most=500)
    assert measured(first) == [500] * 8, "and there are more of them"
    later = FakeChild(400, most=500)
    assert measured(later) == [500] * 8, "in each process as many"
    assert later.calls["calibrate"] == 0


def fits(start, each, spent):
    """A `fit` with a start; what it takes is added to `spent`."""

    def fit(batches):
        spent.append(start + each * batches)
        return spent[-1]

    return fit


@pytest.mark.parametrize("start", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("each", [0.0005, 0.005, 0.1])
def test_a_round_is_as_long_as_it_should_be_whatever_its_start_takes(start, each):
    spent = []
    batches = batches_of_round(fits(start, each, spent), 2.0, least=2, most=10_000)
    assert start + each * batches == pytest.approx(2.0, rel=0.1)
    assert sum(spent) < 2 * 2.0, "finding out takes no longer than measuring"


def test_a_round_is_an_epoch_at_most():
    assert batches_of_round(fits(0.1, 0.001, []), 2.0, least=2, most=100) == 100


@pytest.mark.parametrize(("most", "batches"), [(100, 12), (3, 3)])
def test_a_training_round_has_steps_enough(most, batches):
    case = replace(CASE, samples=most * CASE.batch_size)
    limits = limits_of(case, case.samples, on_accelerator=False)
    lengths = {"seconds": 0.8, "accelerator_seconds": 2.0}
    assert calibrated(lambda n: 1.0 * n, limits, **lengths) == (1, 1)
    assert calibrated(lambda n: 1.0 * n, limits, **lengths, fewest=12) == (batches, 1)


@pytest.mark.parametrize(("seconds", "number"), [(3.0, 2), (2.0, 2), (1.0, 4), (0.1, 8)])
def test_of_short_epochs_there_are_more_rounds(seconds, number):
    assert Protocol().rounds_of_epochs("feed", seconds) == number
    assert Protocol(rounds=4, most_rounds=4).rounds_of_epochs("feed", seconds) == 4
    assert Protocol(rounds=12).rounds_of_epochs("feed", 9.0) == 12
    assert [Protocol().rounds_text, Protocol(rounds=9).rounds_text] == ["2 to 8", "9"]


def test_rounds_whose_start_does_not_count_are_shorter():
    protocol = Protocol()
    lengths = [protocol.round_seconds_of(each) for each in ("feed", "train", "emulated")]
    assert lengths == [2.0, 0.8, 0.8]
    older = upgrade({"schema": 10, "protocol": {"round_seconds": 0.4, "rounds": 4}})["protocol"]
    assert older["steady_round_seconds"] == 0.4, "until then all had one length"
    assert older["most_rounds"] == 4
