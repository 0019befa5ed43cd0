"""Changes of Keras that would mend a cause; made for Keras 3.15 and tried by `--upstream`."""

from __future__ import annotations

from keras_loader_bench.loaders.conformance.mends import Mend

_ADAPTERS = "keras.src.trainers.data_adapters"
_EPOCHS = "keras.src.trainers.epoch_iterator"


def _change(old: str, new: str) -> tuple[str, str]:
    return old.strip("\n"), new.strip("\n")


WORKERS = (
    Mend(
        module=f"{_ADAPTERS}.py_dataset_adapter",
        function="PyDatasetAdapter._finite_enqueuer_generator",
        changes=(
            _change(
                """
    self.enqueuer.start()
""",
                """
    # A new pass begins anew: what another one has left is not of it.
    self.enqueuer.stop()
    while not self.enqueuer.ready_queue.empty():
        self.enqueuer.ready_queue.get_nowait()
    self.enqueuer.indices = None
    self.enqueuer.start()
""",
            ),
        ),
    ),
    Mend(
        module=f"{_ADAPTERS}.py_dataset_adapter",
        function="OrderedEnqueuer._run",
        changes=(
            _change(
                """
        if self.py_dataset.num_batches is not None:
""",
                """
        # With `steps_per_epoch`, the next epoch goes on with the same pass.
        if getattr(self, "indices", None) is None:
""",
            ),
        ),
    ),
)

GENERATOR = (
    Mend(
        module=f"{_ADAPTERS}.generator_data_adapter",
        function="peek_and_restore",
        changes=(
            _change(
                """
    return batches, lambda: itertools.chain(batches, generator)
""",
                """
    read_on = []

    def rest():
        read_on.append(True)
        for batch in generator:  # `yield from` would close it with this one
            yield batch

    return batches, lambda: itertools.chain([] if read_on else batches, rest())
""",
            ),
        ),
    ),
)

_FIT = (
    _change(
        """
    initial_epoch = self._initial_epoch or initial_epoch
""",
        """
    initial_epoch = self._initial_epoch or initial_epoch
    epoch_iterator.batches_to_skip = getattr(self, "_initial_batch", 0)
""",
    ),
)

RESUMED = (
    Mend(
        module="keras.src.callbacks.backup_and_restore",
        function="BackupAndRestore._load_model",
        changes=(
            _change(
                """
        self.model._initial_epoch = epoch
""",
                """
        self.model._initial_epoch = epoch
        self._current_epoch = epoch  # or what is saved before its end is of epoch 0
        if self.save_freq != "epoch":  # it was saved after that batch
            self.model._initial_batch = training_metadata["batch"] + 1
""",
            ),
        ),
    ),
    Mend(
        module=_EPOCHS,
        function="EpochIterator._enumerate_iterator",
        changes=(
            _change(
                """
    steps_per_epoch = self.steps_per_epoch or self._num_batches or -1
""",
                """
    steps_per_epoch = self.steps_per_epoch or self._num_batches or -1
    # Of an epoch that is resumed: batches that were trained on before.
    skipped = getattr(self, "batches_to_skip", 0)
    self.batches_to_skip = 0
""",
            ),
            _change(
                """
        for step in range(0, steps_per_epoch, self.steps_per_execution):
""",
                """
        for _ in range(skipped):
            next(self._current_iterator)
        self._steps_seen += skipped
        for step in range(skipped, steps_per_epoch, self.steps_per_execution):
""",
            ),
            _change(
                """
        step = -self.steps_per_execution
""",
                """
        for _ in range(skipped):
            next(iterator)
        step = skipped - self.steps_per_execution
""",
            ),
        ),
    ),
    Mend(
        module="keras.src.backend.jax.trainer",
        function="JAXTrainer.fit",
        changes=_FIT,
        backends=("jax",),
    ),
    Mend(
        module="keras.src.backend.tensorflow.trainer",
        function="TensorFlowTrainer.fit",
        changes=_FIT,
        backends=("tensorflow",),
    ),
    Mend(
        module="keras.src.backend.torch.trainer",
        function="TorchTrainer.fit",
        changes=_FIT,
        backends=("torch",),
    ),
)

ROUNDED_UP = (
    Mend(
        module=_EPOCHS,
        function="EpochIterator._enumerate_iterator",
        changes=(
            _change(
                """
            self._steps_seen += self.steps_per_execution
            yield (
                step,
                step + self.steps_per_execution - 1,
                self._current_iterator,
            )
""",
                """
            # The last execution has as many steps as are left.
            steps = min(self.steps_per_execution, steps_per_epoch - step)
            self._steps_seen += steps
            iterator = self._current_iterator
            if steps < self.steps_per_execution:
                import itertools

                iterator = itertools.islice(iterator, steps)
            yield step, step + steps - 1, iterator
""",
            ),
        ),
        # TensorFlow draws batches within its graph, which takes no `islice`.
        backends=("jax",),
    ),
)

EMPTY_EPOCHS = (
    Mend(
        module=_EPOCHS,
        function="EpochIterator._enumerate_iterator",
        changes=(
            _change(
                """
        for step in range(0, steps_per_epoch, self.steps_per_execution):
""",
                """
        elif self._num_batches is None:
            # The last epoch may have taken all that there was: look.
            import itertools

            rest = list(itertools.islice(self._current_iterator, 1))
            if rest:
                self._current_iterator = itertools.chain(
                    rest, self._current_iterator
                )
            else:
                self._current_iterator = iter(self._get_iterator())
            self._steps_seen = 0
        for step in range(0, steps_per_epoch, self.steps_per_execution):
""",
            ),
        ),
        # TensorFlow draws batches within its graph, which takes no `chain`.
        backends=("jax", "torch"),
    ),
)
