"""What an audit over ranks concludes from the samples that each was given."""

import pytest

from keras_loader_bench.loaders.audit.shares import never_given, same_epochs, shares_of

WHOLE = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]


def of(*ranks, whole=WHOLE):
    return shares_of("fit, epoch 1", whole, ranks)


def test_every_sample_once_is_right_in_any_order():
    found = of([["h", "a"], ["c", "e"]], [["b", "d"], ["f", "g"]])
    assert found.right
    assert (found.steps, found.samples, found.uneven_step) == ((2, 2), (4, 4), None)


@pytest.mark.parametrize(
    ("ranks", "counts"),
    [
        # missing, shared, repeated, strangers
        (([["a", "b"], ["c", "d"]], [["e", "f"], ["g", "a"]]), (1, 1, 0, 0)),
        (([["a", "b"], ["a", "d"]], [["e", "f"], ["g", "h"]]), (1, 0, 1, 0)),
        (([["a", "b"], ["c", "x"]], [["e", "f"], ["g", "h"]]), (1, 0, 0, 1)),
        (([["a", "b"]], [["c", "d"]]), (4, 0, 0, 0)),
        ((WHOLE, WHOLE), (0, 8, 0, 0)),
    ],
)
def test_what_is_wrong_is_counted_by_kind(ranks, counts):
    found = of(*ranks)
    assert (found.missing, found.shared, found.repeated, found.strangers) == counts
    assert not found.right
    assert found.all_had_all == (counts[1] == 8)


def test_a_sample_that_the_input_has_twice_may_come_twice():
    twice = [["a", "a"], ["b", "c"]]
    assert of([["a", "b"]], [["a", "c"]], whole=twice).right
    assert of([["a", "a"]], [["b", "c"]], whole=twice).right
    found = of([["a", "a"]], [["a", "b"]], whole=twice)
    assert (found.shared, found.repeated, found.missing) == (1, 0, 1)


def test_unequal_steps_and_sizes_are_seen():
    found = of([["a", "b"], ["c", "d"], ["e"]], [["f", "g"], ["h"]])
    assert (found.unequal_steps, found.uneven_step, found.right) == (True, 1, False)
    found = of([["a", "b"], ["c", "d"]], [["e"], ["f", "g", "h"]])
    assert (found.unequal_steps, found.uneven_step, found.right) == (False, 0, True)


def test_epochs_are_the_same_only_in_samples_and_order():
    one, other = [[["a"], ["b"]], [["c"], ["d"]]], [[["b"], ["a"]], [["c"], ["d"]]]
    assert same_epochs(one, [[["a", "b"]], [["c"], ["d"]]])  # cut differently
    assert not same_epochs(one, other)


def test_what_no_epoch_has_is_counted():
    assert never_given(WHOLE, [[[["a", "b"]], [["c"]]], [[["d"]], [["a"]]]]) == 4
