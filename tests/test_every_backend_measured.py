"""The laws marked `each_backend` that measure hold on every Keras backend, one after another."""

import pytest
from other_backends import Laws, on_every_other_backend

pytestmark = [pytest.mark.long, pytest.mark.measures]


@on_every_other_backend
def test_the_laws_that_measure_hold_on(backend, tmp_path):
    assert Laws(backend, "each_backend and measures", tmp_path).hold()
