"""What ended processes leave in /dev/shm is removed, and nothing else."""

import os
import subprocess
import sys

import pytest

from keras_loader_bench.loaders.system.dev_shm import (
    DEV_SHM,
    remove_abandoned_objects,
    shared_objects,
)

pytestmark = pytest.mark.skipif(not DEV_SHM.is_dir(), reason="there is no /dev/shm")

USER = "import mmap, sys; f = open(sys.argv[1], 'r+b'); {keep}; print(flush=True); input()"


@pytest.fixture
def make():
    made = []

    def make(name):
        made.append(DEV_SHM / f"{name}-{os.getpid()}")
        made[-1].write_bytes(bytes(4096))
        return made[-1]

    yield make
    for each in made:
        each.unlink(missing_ok=True)


def test_only_what_is_new_known_and_unused_is_removed(make):
    old = make("sem.mp-old")
    before = set(shared_objects())
    left = [make(name) for name in ("sem.mp-new", "torch_new", "psm_new")]
    foreign = make("database")
    remove_abandoned_objects(before)
    assert [each.exists() for each in left] == [False] * 3
    assert old.exists()
    assert foreign.exists()


@pytest.mark.parametrize("keep", ["m = mmap.mmap(f.fileno(), 0); f.close()", "pass"])
def test_what_another_process_maps_or_holds_open_stays(make, keep):
    before = set(shared_objects())
    used = make("torch_used")
    command = [sys.executable, "-c", USER.format(keep=keep), str(used)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        user.stdout.readline()
        remove_abandoned_objects(before)
        assert used.exists()
        user.communicate(b"\n")
    remove_abandoned_objects(before)
    assert not used.exists()
