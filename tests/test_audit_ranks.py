"""`keras-loader-bench audit --ranks` finds what several ranks train on together."""

import pytest
from suite import processes_of
from test_audit_command import command, start

from keras_loader_bench.loaders.registry import missing_package


def audit(name, *options, ranks=2, backend="jax"):
    if reason := missing_package((backend,)):
        pytest.skip(reason)
    return command(
        f"rank_inputs:{name}", "--ranks", str(ranks), "--keras-backend", backend, *options
    )


@pytest.mark.long
def test_an_input_that_is_shared_out_is_right():
    status, text, errors = audit("shared_out")
    assert status == 0, text + errors
    lines = text.splitlines()
    assert lines[0] == (
        "rank_inputs:shared_out on 2 ranks; as the only rank it has 20 batches, 160 samples"
    )
    assert [line.split() for line in lines if line.startswith("fit, epoch")] == [
        f"fit, epoch {epoch} 10 each 80 each 0 0 every sample once".split() for epoch in (1, 2)
    ]
    assert lines[-1].startswith("every sample once: in both epochs the 2 ranks together")


@pytest.mark.long
def test_that_every_rank_trains_on_everything_is_found_with_the_remedy():
    status, text, _ = audit("everything")
    assert status == 1
    assert "Every rank trains on the whole input: all 160 samples came on each of the 2" in text
    assert "`bridge(everything(), shard=(rank, ranks))`" in " ".join(text.split())
    assert text.count("every rank had everything") == 2
    assert text.splitlines()[-1] == "1 problem"


@pytest.mark.long
def test_shares_of_unseeded_shuffles_overlap():
    status, text, _ = audit("unseeded")
    assert status == 1
    assert "came on a rank although another one had them too" in " ".join(text.split())
    assert "samples came twice" in text


@pytest.mark.long
def test_shuffles_that_get_out_of_step_after_an_epoch_are_found():
    status, text, _ = audit("OutOfStep")
    assert status == 1
    # What was read before `fit` has ended epochs too.
    assert text.count("samples came twice") == 2


@pytest.mark.long
def test_an_input_without_an_end_is_compared_with_as_many_batches_of_one_rank():
    status, text, errors = audit("endless", "--steps-per-epoch", "10")
    assert status == 0, text + errors
    assert text.count("every sample once") == 3


@pytest.mark.long
def test_what_the_input_seeds_itself_is_the_same_on_all_ranks():
    status, text, errors = audit("shuffled_by_tensorflow", backend="tensorflow")
    assert status == 0, text + errors


@pytest.mark.long
def test_unequal_steps_are_found():
    status, text, _ = audit("unequal")
    assert status == 1
    assert "11 on rank 0, 10 on rank 1" in text
    assert "training hangs at the end of the epoch" in " ".join(text.split())


@pytest.mark.long
def test_a_sampler_that_fills_up_is_found():
    status, text, _ = audit("padded", backend="torch")
    assert status == 1
    flat = " ".join(text.split())
    assert "1 sample came on a rank although another one had it too. They are fewer than" in flat
    assert text.splitlines()[-1] == "1 problem"  # of both epochs
    assert "a `DistributedSampler` needs `set_epoch`" in flat


@pytest.mark.long
def test_a_rank_that_fails_is_named_and_the_others_are_ended(tmp_path):
    home = tmp_path / "home"
    arguments = ("rank_inputs:fails_on_rank_1", "--ranks", "3", "--keras-backend", "jax")
    if reason := missing_package(("jax",)):
        pytest.skip(reason)
    with start(*arguments, KERAS_HOME=str(home)) as started:
        text, errors = started.communicate(timeout=100)
    assert started.returncode == 1, errors
    assert "Rank 1: loading it raised RuntimeError: no such disk" in text
    assert not processes_of(home)


def test_one_rank_is_refused():
    status, _, errors = command("rank_inputs:everything", "--ranks", "1")
    assert status == 2
    assert "--ranks must be at least 2, got 1; leave it out for one process." in errors
