"""A seeded sample of the attacks that take minutes; see `attacks.py`."""

import itertools
import random

import attacks
import pytest


@pytest.mark.parametrize(("attack", "times"), [("pickles", 300), ("archives", 60), ("caches", 100)])
def test_no_damage_is_believed_or_costs_much(attack, times, tmp_path):
    tries = getattr(attacks, attack)(tmp_path, random.Random(1))
    ends = list(itertools.islice(tries, times))
    assert [end for end, good in ends if not good] == []
    assert {"refused", "noticed"} & {end for end, _ in ends}
