"""Loaders that go wrong, each in its way, once they are in use."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from keras_loader_bench.loaders.contract import Loader, one_hot, scale_pixels
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence
from keras_loader_bench.loaders.sequence_loader import SequenceLoader


class FaultyLoader(SequenceLoader):
    """Delivers correctly, until the given call of `fit_args`."""

    good_calls = 18  # calibration takes at most 17, and 20 rounds follow
    calls = 0

    def fit_args(self, rows):
        self.calls += 1
        return super().fit_args(rows) if self.calls <= self.good_calls else self.fail(rows)


class RaisesLoader(FaultyLoader):
    def fail(self, rows):
        print("about to raise")
        raise OSError("the disk is on fire")


class KilledLoader(FaultyLoader):
    def fail(self, rows):
        os.kill(os.getpid(), signal.SIGKILL)


class HangsLoader(FaultyLoader):
    def fail(self, rows):
        # With a worker of its own, as loaders have.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)


class DropsLoader(FaultyLoader):
    """Fewer samples than were asked for."""

    def fail(self, rows):
        return super(FaultyLoader, self).fit_args(rows[:-1])


class FailsLoader(SequenceLoader):
    """At once, and not for want of memory."""

    def fit_args(self, rows):
        raise ValueError("no batch today")


class LaterLoader(SequenceLoader):
    """Only in the second process of a run."""

    def __init__(self, source, options):
        super().__init__(source, options)
        seen = Path(os.environ["KERAS_HOME"]) / "later"
        if seen.exists():
            raise ValueError("once was enough")
        seen.parent.mkdir(exist_ok=True)
        seen.touch()


class HoardsLoader(SequenceLoader):
    """Holds a MiB for every sample."""

    def __init__(self, source, options):
        super().__init__(source, options)
        self.hoard = np.ones((source.num_samples, 2**20), dtype=np.uint8)


class SegfaultsLoader(SequenceLoader):
    def fit_args(self, rows):
        os.kill(os.getpid(), signal.SIGSEGV)


class StuckLoader(SequenceLoader):
    def fit_args(self, rows):
        time.sleep(600)


class SilentLoader(SequenceLoader):
    """Of several processes, one has no second batch."""

    def fit_args(self, rows):
        import keras  # not where nothing but the registry is read

        batches = LazySequence(self.source, rows, batch_size=self.options.batch_size)

        class Silent(keras.utils.PyDataset):
            def __len__(self):
                return len(batches)

            def __getitem__(self, index):
                if index == 1:
                    taken = Path(os.environ["KERAS_HOME"]) / "silent"
                    with suppress(FileExistsError):
                        taken.touch(exist_ok=False)
                        time.sleep(600)
                return batches[index]

        return {"x": Silent()}


class SpawnsLoader(SequenceLoader):
    """Has a process that holds 200 MiB."""

    def fit_args(self, rows):
        code = "m = b'x' * (200 << 20); import time; time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", code])
        time.sleep(5)
        return super().fit_args(rows)


class SwapsLoader(SequenceLoader):
    """All samples, but the first two in the wrong order."""

    def fit_args(self, rows):
        swapped = rows.copy()
        swapped[:2] = rows[1::-1]
        return {"x": LazySequence(self.source, swapped, batch_size=self.options.batch_size)}


class PlainLoader(Loader):
    """What people write: both arrays are made once, and `fit(x, y)` takes them in any order."""

    def __init__(self, source, options):
        super().__init__(source, options)
        self.x = scale_pixels(source.images)
        self.y = one_hot(source.labels, source.num_classes)

    def fit_args(self, rows):
        size = self.options.batch_size
        return {"x": self.x[: len(rows)], "y": self.y[: len(rows)], "batch_size": size}
