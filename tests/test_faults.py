"""Loaders that go wrong in every way that we know of: each is named right, and soon."""

import pytest
import suite

from keras_loader_bench.loaders.system.bounded_log import MAX_BYTES

pytestmark = pytest.mark.long

SILENCE_S = 7
STARTS_S = 50
"""What a process takes to start, with another run beside it."""

ENDS = {
    "raises": ("failed", "ValueError", "no batch today"),
    "raises_at_length": ("failed", "ValueError", "most were cut"),
    "raises_unreadably": ("failed", "UnreadableError", "its message cannot be read"),
    "raises_want_of_memory": ("refused", "MemoryError", ""),
    "raises_an_interrupt": ("crashed", "ChildExited", "exited with 1"),
    "exits": ("crashed", "ChildExited", "exited with 3"),
    "exits_at_once": ("crashed", "ChildExited", "exited with 0"),
    "aborts": ("crashed", "ChildKilled", "SIGABRT"),
    "segfaults": ("crashed", "ChildKilled", "SIGSEGV"),
    "kills_itself": ("crashed", "ChildKilled", "SIGKILL"),
    "terminates_itself": ("crashed", "ChildKilled", "SIGTERM"),
    "recurses": ("failed", "RecursionError", "maximum recursion depth"),
    "asks": ("failed", "EOFError", ""),
    "sleeps": ("timeout", "Hang", "waits"),
    "spins": ("timeout", "Hang", "other threads run"),
    "spins_with_the_lock": ("timeout", "Hang", "lock"),
    "stops": ("timeout", "Hang", "stopped"),
    "deadlocks": ("timeout", "Hang", "waits"),
    "waits_for_a_process": ("timeout", "Hang", "waits"),
    "waits_for_a_pipe": ("timeout", "Hang", "waits"),
    "closes_every_file": ("crashed", "ClosedPipe", "closed a pipe"),
    "writes_into_every_file": ("failed", "StrayOutput", "something other than an answer"),
    "leaves_a_process_and_dies": ("crashed", "ChildKilled", "SIGKILL"),
    "init_exits": ("crashed", "ChildExited", "exited with 7"),
    "init_hangs": ("timeout", "Hang", "`make_loader`"),
    "close_raises": ("failed", "OSError", "it cannot be closed"),
    "close_hangs": ("timeout", "Hang", "`close_loader`"),
    "too_few": ("failed", "RuntimeError", "samples"),
    "too_many": ("failed", "RuntimeError", "samples"),
    "other_order": ("audit_failed", "AuditFailed", ""),
    "nothing": ("failed", "TypeError", ""),
    "no_batches": ("failed", None, ""),
}
"""Fault -> outcome, kind and part of the message; what is not listed does no harm."""

HARMLESS = [
    "prints_at_length",
    "leaves_a_daemon",
    "leaves_a_thread",
    "hangs_at_exit",
    "ignores_signals",
    "moves_away",
]

finished = suite.faulty(
    __name__,
    *("--loaders", ",".join(f"fault_{name}" for name in [*ENDS, *HARMLESS])),
    *("-k", "(feed and not close_) or (memory and close_)"),
    *("--rounds", "1", "--silence-timeout", str(SILENCE_S)),
    # More than any of them takes: a hang is to be noticed by its silence, not by this.
    *("--case-timeout", str(STARTS_S + 2 * SILENCE_S)),
).fixture()


@pytest.mark.parametrize("fault", ENDS)
def test_a_fault_is_named_right_and_soon(finished, fault):
    outcome, kind, text = ENDS[fault]
    case = finished.case(f"fault_{fault}")
    assert case.outcome == outcome
    assert kind in (None, case.error.type)
    assert text in case.error.message
    assert len(case.error.message) < 3000
    assert case.duration_s < STARTS_S + (SILENCE_S if outcome == "timeout" else 5)


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_does_no_harm_is_measured(finished, fault):
    assert finished.case(f"fault_{fault}").outcome == "ok"


def test_nothing_is_left_and_nothing_is_large(finished):
    assert finished.left == []
    sizes = {path.name: path.stat().st_size for path in finished.folder.rglob("*")}
    assert all(size <= MAX_BYTES for size in sizes.values()), sizes
    assert sizes["run.json"] < 2**20
    assert finished.run.status == "complete"
