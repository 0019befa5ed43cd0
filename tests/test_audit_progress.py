"""An audit shows how far it has come, from the first second on, and waits as long as it should."""

import io

import pytest

from keras_loader_bench.loaders.audit.inputs.epochs import plan
from keras_loader_bench.loaders.audit.parent import AuditRun, limit_s
from keras_loader_bench.loaders.audit.progress import Progress
from keras_loader_bench.loaders.audit.texts.endings import ending


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, events):
    """What a run shows: events by the second in which they come."""
    now = 0.0
    with Progress("run 1 of 2", stream, lambda: now) as progress:
        for second in range(max(events) + 1):
            now = float(second)
            for event in [*events.get(second, []), None]:
                progress.watch(event)
    return stream.getvalue()


FIT = {"event": "stage", "name": "fit"}
READING = {"event": "reading", "batches": 300}


def test_without_a_terminal_there_is_a_line_from_time_to_time():
    events = {3: [READING, FIT], 9: [{"event": "progress", "batches": 40}], 25: []}
    assert shown(io.StringIO(), events).splitlines() == [
        "run 1 of 2, 0 s: starting",
        "run 1 of 2, 10 s: `fit`, 40 of 600 batches",
        "run 1 of 2, 20 s: `fit`, 40 of 600 batches",
    ]


def test_a_terminal_has_one_line_that_changes_every_second():
    text = shown(Terminal(), {0: [FIT], 1: [{"event": "progress", "batches": 1000}], 2: []})
    lines = [line for line in text.split("\r\033[K") if line]
    assert lines[0].startswith("run 1 of 2, 0 s: starting")
    assert lines[-2:] == [f"run 1 of 2, {second} s: `fit`, 1,000 batches ..." for second in (1, 2)]
    assert text.endswith("\r\033[K")


def test_a_stage_may_take_longer_where_reading_was_slow():
    assert limit_s(FIT, 600) == 600
    assert limit_s({**FIT, "may_take_s": 900.0}, 600) == 900


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"started_anew": 2}, "starts its 2 processes anew for each pass"),
        ({"use_multiprocessing": True, "expression": "train"}, "`model.fit(bridge(train), ...)`"),
        ({"length": "unknown"}, "An endless input needs --steps-per-epoch N."),
    ],
)
def test_what_may_have_taken_so_long_is_said(about, said):
    events = ({"event": "input", **about}, {**FIT, "may_take_s": 700.0})
    run = AuditRun(events=events, timed_out=True, exit_status=-9, log="")
    (found,) = ending(run, 600, second=False)
    assert found.text.startswith("`fit` did not finish within 700 s; use a larger --timeout")
    assert said in found.text


@pytest.mark.parametrize("kind", ["PyDataset", "tf.data dataset", "torch DataLoader", "arrays"])
def test_an_epoch_of_all_batches_is_followed_by_another_one(kind):
    epochs = plan(kind, 10, steps=10, batches=None, shuffle=False)
    assert (epochs.parts, epochs.steps, epochs.read) == ((slice(None), slice(None)), 10, 10)


@pytest.mark.parametrize(("kind", "length"), [("generator", "unknown"), ("grain dataset", 10)])
def test_what_keras_cannot_begin_anew_must_have_batches_for_both_epochs(kind, length):
    epochs = plan(kind, length, steps=10, batches=None, shuffle=False)
    assert (epochs.parts, epochs.read) == ((slice(10), slice(10, 20)), 20)
