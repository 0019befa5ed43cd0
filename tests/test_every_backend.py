"""The laws marked `each_backend` hold on every Keras backend, on all at the same time."""

import pytest
from other_backends import OTHERS, Laws, on_every_other_backend

from keras_loader_bench.loaders.registry import missing_package

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def laws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    started = {
        backend: Laws(backend, "each_backend and not measures", folder)
        for backend in OTHERS
        if not missing_package((backend,))
    }
    try:
        for each in started.values():
            each.process.wait()  # or a law that measures would run beside them
        yield started
    finally:
        for each in started.values():
            each.process.kill()


@on_every_other_backend
def test_the_laws_hold_on(backend, laws):
    assert laws[backend].hold()
