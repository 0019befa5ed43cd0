"""What every test needs: a backend, a cache of its own, a small source for those that only read.

One process has one Keras backend. Tests run on the one that KERAS_BACKEND names, or on TensorFlow;
`other_backends.py` runs those marked `each_backend` on the others that are installed.
"""

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

# Before anything imports Keras.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A process that needs both must import torch before TensorFlow.
with contextlib.suppress(ModuleNotFoundError):
    import torch  # noqa: F401

import numpy as np
import parallel
import pytest
from asking import Asking
from warm_workers import warm_workers  # noqa: F401, a fixture

from keras_loader_bench.bench.plan.command_line import add_options
from keras_loader_bench.loaders import ImageSource
from keras_loader_bench.loaders.sources.cache import write_source
from keras_loader_bench.loaders.sources.known_sources import prepare_source
from keras_loader_bench.loaders.system.compiled import shared_by_jax

# Garbage is collected by the thread that runs the tests, and by no other. Whichever thread begins a
# collection also ends the pools that it finds, such as those that Keras leaves behind. The thread
# that looks after a pool's workers so waits for itself, for ever (`ThreadPool` of Python 3.11), and
# from then on every other collection is empty.
gc.disable()

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
PACKAGE = PROJECT / ".package"

# Processes that tests start get the checkout too, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
INVENTED_RUN = TESTS / "data" / "invented_run"

LONGEST = ("test_every_backend", "test_input_kinds")
"""Files of few tests that take minutes each."""


class _Names:
    """A group of options that keeps their names alone."""

    def __init__(self):
        self.options = []

    def addoption(self, *names, **about):
        self.options.append(SimpleNamespace(names=lambda: names))


def pytest_addoption():
    """Say where the options of the suite belong, if they come without its folder."""
    given = [argument.partition("=")[0] for argument in sys.argv[1:]]
    if any("bench" in Path(argument.partition("::")[0]).parts for argument in given):
        return
    known = add_options(_Names())
    if wrong := [name for name in given if name in known]:
        raise pytest.UsageError(
            f"`{wrong[0]}` is an option of the benchmarks: `pytest bench/ --benchmark-only "
            f"{wrong[0]}` has it."
        )


def pytest_configure(config):
    """Share what JAX compiles, and choose which file is first.

    Most of what JAX compiles has been compiled before, in another test or process.

    With pytest-xdist the first file is what comes first, not the one that has most tests.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="compiled-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ |= shared_by_jax(folder)
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)  # of those that are left
def pytest_collection_modifyitems(config, items):
    """Begin with the files that take minutes, those that run the suite, and end with the smallest.

    So that of two processes none waits for the other one in the end. Files of which every test
    measures come after all others: before one of their tests, each process waits for what the other
    one is doing. Of files that share a run one comes first: the other would wait for it.

    A law about a time is tried up to three times: other programs of the machine may disturb one
    trial, and a law that is broken fails in all of them.
    """
    import suite  # it needs this module

    if config.pluginmanager.hasplugin("rerunfailures"):
        for item in items:
            # The long ones start a pytest, which does this.
            if item.get_closest_marker("measures") and not item.get_closest_marker("long"):
                item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=2))

    sizes = Counter(item.path.stem for item in items)
    others = {item.path.stem for item in items if not item.get_closest_marker("measures")}
    runners = suite.Job.runners(sizes)

    def place(item):
        file = item.path.stem
        return file not in others, file not in LONGEST, file not in runners, -sizes[file]

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with parallel.turn(alone=item.get_closest_marker("measures") is not None):
        return (yield)


@pytest.fixture(autouse=True, scope="module")
def collect_all() -> Iterator[None]:
    """Collect what lived longer than its test.

    What was there before any of them, such as the 350,000 objects of TensorFlow, is never looked
    at again: a collection takes milliseconds then, and not half a second.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def collect_young() -> Iterator[None]:
    """Collect what a test leaves, which is quick."""
    yield
    gc.collect(1)


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' folder, empty and for this test alone."""
    home = tmp_path / "keras_home"
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def asking() -> Iterator[Asking]:
    """Ask pytest what needs no process of its own: it is called with arguments."""
    asked = Asking(PROJECT)
    yield asked
    asked.end()


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> ImageSource:
    """230 samples of noise: batches of 64 and of 100 leave a smaller last one."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (230, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, 10, 230, dtype=np.uint8)
    return write_source(
        tmp_path_factory.mktemp("source") / "noise",
        name="synthetic",
        split="train",
        edition="synthetic",
        class_names=tuple("abcdefghij"),
        sample_shape=(32, 32, 3),
        num_samples=230,
        chunks=[(images, labels)],
        inputs={},
    )


@pytest.fixture(scope="session")
def real_source(tmp_path_factory: pytest.TempPathFactory) -> ImageSource:
    """The training photographs in the folder that CIFAR10_DIR names."""
    if "CIFAR10_DIR" not in os.environ:
        pytest.skip("CIFAR10_DIR does not name a folder of real photographs")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("real_source")))
        return prepare_source("cifar10", data_dir=os.environ["CIFAR10_DIR"])


@pytest.fixture
def whole_run() -> dict:
    """A run of three backends with every way of ending; its figures are invented."""
    return json.loads((INVENTED_RUN / "run.json").read_text(encoding="utf-8"))


@pytest.fixture
def run(whole_run: dict) -> dict:
    """The part of it on one backend, without workers."""
    cases = [result for result in whole_run["cases"] if result["case"]["backend"] == "tensorflow"]
    return whole_run | {"cases": cases}
