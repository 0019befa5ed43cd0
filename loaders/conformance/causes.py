"""Why Keras goes wrong where it does: the causes that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keras_loader_bench.loaders.conformance import suggested
from keras_loader_bench.loaders.conformance.mends import Mend
from keras_loader_bench.loaders.conformance.stored import ProblemRecord

_RESUMED = "fit resumed in mid-epoch"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A cause of problems in Keras, or in what it is given."""

    key: str
    title: str
    why: str
    """Two or three sentences, from Keras' source."""

    remedy: str
    link: str
    """To where it is described or tracked."""

    explains: Callable[[ProblemRecord], bool]
    """Whether it is that of a problem."""

    mends: tuple[Mend, ...] = ()
    """A change of Keras that was tried: of each function, in order."""

    where: str = ""
    """File and function of Keras that it comes from."""

    every_input: bool = False
    """Whether it is the same with every kind of input."""


def _data(problem: ProblemRecord, *kinds: str) -> bool:
    """Return whether inputs of some kinds were given wrongly; of any kind without names."""
    return problem.sort == "data" and (not kinds or problem.setup.kind in kinds)


def _lost_by_workers(problem: ProblemRecord) -> bool:
    return _data(problem, "PyDataset", "stock_sequence") and problem.setup.workers != "none"


def _whole_executions(problem: ProblemRecord) -> bool:
    setup = problem.setup
    # The loader `grain` repeats its dataset, and says how many steps an epoch has.
    counted = setup.steps == "fewer" or setup.kind == "grain"
    several = setup.steps_per_execution != 1 and setup.workers == "none"
    return _data(problem) and counted and several


def _resumed(problem: ProblemRecord) -> bool:
    return _data(problem) and problem.passes == (_RESUMED,)


def _generator(problem: ProblemRecord) -> bool:
    return _data(problem, "generator") and problem.passes == ("validation, epoch 2",)


def _of_workers(problem: ProblemRecord) -> bool:
    kinds = ("DataLoader", "iterable DataLoader", "torch")
    return problem.setup.workers != "none" and problem.setup.kind in kinds


def _died(problem: ProblemRecord) -> bool:
    return _of_workers(problem) and problem.sort.startswith("RuntimeError: DataLoader worker")


def _waits(problem: ProblemRecord) -> bool:
    return _of_workers(problem) and problem.sort == "hang"


def _not_taken(problem: ProblemRecord) -> bool:
    return problem.sort.startswith("ValueError: Unrecognized data type")


def _unknown_length(problem: ProblemRecord) -> bool:
    kinds = ("iterable DataLoader", "Grain MapDataset", "Grain IterDataset")
    unknown = _data(problem, *kinds, "image_dataset_from_directory (grain)")
    return unknown and problem.setup.steps == "all"


KNOWN: tuple[Cause, ...] = (
    Cause(
        key="batches-read-ahead-open-the-next-pass",
        title="Keras' workers lose batches of a PyDataset",
        why="When a pass over a `PyDataset` with `workers` above 1 is left before its end, what "
        "they have read ahead is kept, and opens the next pass; but that one reads from index 0 "
        "again. Some batches come twice, as many never, and no error is raised. Passes are left "
        "where `fit` and `evaluate` draw a batch to build a model, and with `steps_per_epoch`.",
        remedy="`workers=1`, or `bridge(dataset)`, whose threads deliver every batch once.",
        link="README.md#why-keras-own-workers-lose-batches",
        explains=_lost_by_workers,
        where="`keras/src/trainers/data_adapters/py_dataset_adapter.py`: "
        "`PyDatasetEnqueuer.stop` puts what was read ahead into `ready_queue`, and "
        "`OrderedEnqueuer._run` makes the indices anew; `EpochIterator.reset` in "
        "`keras/src/trainers/epoch_iterator.py` is who stops it",
        mends=suggested.WORKERS,
    ),
    Cause(
        key="a-generator-repeats-its-first-batches",
        title="A generator's first two batches come again in each validation",
        why="Keras draws the first two batches of a generator to learn their form, and puts them "
        "before the rest each time that it begins to read: also when the rest goes on where it was "
        "left. So each validation with `validation_steps` but the first has two batches again.",
        remedy="A `PyDataset` or dataset that can begin anew.",
        link="upstream/a-generator-repeats-its-first-batches.md",
        explains=_generator,
        where="`keras/src/trainers/data_adapters/generator_data_adapter.py`: `peek_and_restore`",
        mends=suggested.GENERATOR,
    ),
    Cause(
        key="resumed-from-the-first-batch",
        title="`BackupAndRestore(save_freq=N)` resumes an epoch from its first batch",
        why="In mid-epoch, it backs up the weights and the number of the batch; but `fit` begins "
        "that epoch anew, so that the batches before are trained on twice. The number is written "
        "and never read. Interrupted once more before that epoch ends, training goes back to epoch "
        "0: the callback does not keep the epoch that it has read.",
        remedy="`save_freq='epoch'`, or a dataset that skips what has been.",
        link="https://keras.io/api/callbacks/backup_and_restore/",
        explains=_resumed,
        every_input=True,
        where="`keras/src/callbacks/backup_and_restore.py`: `_load_model` reads `epoch` alone",
        mends=suggested.RESUMED,
    ),
    Cause(
        key="steps-per-epoch-are-rounded-up",
        title="`steps_per_epoch` is rounded up to whole executions",
        why="With `steps_per_execution` above 1, an epoch is that many steps again and again until "
        "`steps_per_epoch` is reached: 4 steps in executions of 3 are 6. So do `validation_steps` "
        "and the `steps` of `evaluate` and `predict`; `predict` returns more than was asked for.",
        remedy="A number of steps that `steps_per_execution` divides.",
        link="https://keras.io/api/models/model_training_apis/#compile-method",
        explains=_whole_executions,
        every_input=True,
        where="`keras/src/trainers/epoch_iterator.py`: `_enumerate_iterator` goes in steps of "
        "`steps_per_execution`, and an execution takes as many batches as it can",
        mends=suggested.ROUNDED_UP,
    ),
    Cause(
        key="forked-workers-end-with-1",
        title="On TensorFlow, forked workers of a DataLoader end with exit code 1",
        why="There Keras reads a `DataLoader` in a thread that TensorFlow has made. Python before "
        "3.11.8 and 3.12.2 ends a process that was forked from such a thread with exit code 1, "
        "though it did all its work. If torch hears of that before it has let go of the worker, it "
        "raises an error. It is a race, and no fault of Keras.",
        remedy="A newer Python, or `DataLoader(..., multiprocessing_context='spawn')`.",
        link="https://github.com/python/cpython/issues/102512",
        explains=_died,
        where="Python's `threading._shutdown`, which `multiprocessing` calls at the end",
    ),
    Cause(
        key="forked-workers-wait",
        title="Forked workers of a DataLoader wait for ever, now and then",
        why="A `DataLoader` forks its workers from a process in which TensorFlow or JAX has "
        "threads; what these hold at that moment stays locked in the worker. It is a race, and no "
        "fault of Keras.",
        remedy="`DataLoader(..., multiprocessing_context='spawn')`.",
        link="https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods",
        explains=_waits,
        where="`torch.utils.data.DataLoader`, with the start method of Python 3.11 on Linux",
    ),
    Cause(
        key="unknown-length-with-all-steps",
        title="After an epoch of all batches of unknown number, the next one is empty",
        why="Of iterable DataLoaders and Grain datasets Keras does not know the length. An epoch "
        "that takes all batches leaves the iterator at its end, and the next one finds nothing; "
        "Keras warns that the input ran out of data, and goes on.",
        remedy="Leave `steps_per_epoch` out, or repeat the input without an end.",
        link="https://keras.io/api/models/model_training_apis/#fit-method",
        explains=_unknown_length,
        where="`keras/src/trainers/epoch_iterator.py`: `_enumerate_iterator`",
        mends=suggested.EMPTY_EPOCHS,
    ),
    Cause(
        key="not-taken",
        title="Inputs that this Keras does not take",
        why="`fit` raises an error at once.",
        remedy="A newer Keras, or a `PyDataset` or generator that reads from the input.",
        link="https://keras.io/api/models/model_training_apis/#fit-method",
        explains=_not_taken,
        where="`keras/src/trainers/data_adapters/__init__.py`: `get_data_adapter`",
    ),
)


def cause_of(problem: ProblemRecord) -> Cause | None:
    """Return the known cause of a problem; `None`: it is new."""
    return next((cause for cause in KNOWN if cause.explains(problem)), None)
