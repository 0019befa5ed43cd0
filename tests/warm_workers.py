"""Worker processes of torch's `DataLoader` that begin at once, for tests of what they deliver.

A spawned process imports torch, two seconds each, and tests start a hundred. These are forked from
one process that has imported it, by the server that `multiprocessing` has for this. Processes are
pickled and prepared as for spawned ones; only what they find imported differs. Tests of how
processes end have spawned ones, and so has one of what is delivered.
"""

from multiprocessing import context, forkserver

import pytest

try:
    from multiprocessing.popen_forkserver import Popen
except ImportError:  # Windows
    Popen = None

PRELOADED = ["pytest", "torch", "keras_loader_bench.loaders.torch_loader"]


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    if Popen is not None:
        forkserver.set_forkserver_preload(PRELOADED)  # counts before the server begins
        monkeypatch.setattr(context.SpawnProcess, "_Popen", staticmethod(Popen))
