"""Short programs that show a problem to anyone who has Keras."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from keras_loader_bench.loaders.conformance.expected import INTERRUPTED_AFTER, expected
from keras_loader_bench.loaders.conformance.setups import BATCH, BATCHES, FEWER, Setup

_PY_DATASET = """
class Data(keras.utils.PyDataset):
    def __len__(self):
        return {batches}

    def __getitem__(self, i):
        rows = ids[{batch} * i : {batch} * i + {batch}]
        return {sample}
"""

_GENERATOR = """
def data():
    for i in range({batches}):
        rows = ids[{batch} * i : {batch} * i + {batch}]
        yield {sample}
"""

_IMPORTS: Mapping[str, str] = {
    "tf.data": "import tensorflow as tf\n",
    "DataLoader": "from torch.utils.data import DataLoader\n",
    "iterable DataLoader": "from torch.utils.data import DataLoader, IterableDataset\n",
    "Grain MapDataset": "import grain\n",
    "Grain IterDataset": "import grain\n",
}

_STREAM = """
class Stream(IterableDataset):
    def __iter__(self):
        for i in range({batches}):
            rows = ids[{batch} * i : {batch} * i + {batch}]
            yield {sample}
"""


_STOP = """class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == {last}:
            raise OSError

"""

_TWICE = """for stop in [Stop()], []:
    try:
        print(model.fit({given}, callbacks={callbacks}, verbose=0).history)
    except OSError:
        pass
"""


def program(setup: Setup, name: str) -> str | None:
    """Return a program that shows a pass over the input of a setup; `None`: there is no short one.

    It prints the mean of the ids that a pass was given, or, for `predict`, the ids.

    Args:
        setup: the conditions.
        name: of the pass.
    """
    if (data := _data(setup)) is None:
        return None
    count = BATCH * BATCHES - (BATCH // 2 if setup.last_batch == "partial" else 0)
    imports = _IMPORTS.get(setup.kind, "")
    torch = imports if "torch" in imports else ""
    head = f"{torch}import keras\nimport numpy as np\n{imports if not torch else ''}"
    head += f'\nids = np.arange({count}, dtype="float32")[:, None]\n'
    made, given = data
    return f"{head}{made}\n{_uses(setup, name, given)}"


def wanted_output(setup: Setup, name: str) -> str:
    """Return what a program would print if the pass were given what it should be."""
    if name == "predict":
        return "the ids in order"
    want = expected(setup, name)
    assert want is not None
    ids = [sample for batch in want.batches for sample in batch]
    return f"{sum(ids) / len(ids):g} for this pass"


def _data(setup: Setup) -> tuple[str, str] | None:
    """Return the lines that make an input, and the expression that is given to Keras."""
    sample = {
        "tuple": "rows, rows",
        "dict": '{"x": rows}, rows',
        "weights": "rows, rows, np.ones(len(rows))",
    }[setup.structure]
    known = {"batches": BATCHES, "batch": BATCH, "sample": sample}
    whole = sample.replace("rows", "ids")
    if setup.kind == "arrays" and setup.structure == "tuple":
        return "", f"ids, ids, batch_size={BATCH}"
    if setup.kind == "PyDataset":
        options = []
        if setup.workers != "none":
            options.append("workers=2, max_queue_size=2")
        if setup.workers == "processes":
            options.append("use_multiprocessing=True")
        return _PY_DATASET.format(**known), f"Data({', '.join(options)})"
    if setup.kind == "generator":
        return _GENERATOR.format(**known), "data()"
    if setup.kind == "tf.data":
        line = f"data = tf.data.Dataset.from_tensor_slices(({whole})).batch({BATCH})\n"
        return line, "data"
    if setup.kind == "DataLoader" and setup.structure == "tuple":
        workers = ", num_workers=2" if setup.workers == "processes" else ""
        line = f"data = DataLoader(list(zip(ids, ids)), batch_size={BATCH}{workers})\n"
        return line, "data"
    if setup.kind == "iterable DataLoader" and setup.workers == "none":
        return _STREAM.format(**known), "DataLoader(Stream(), batch_size=None)"
    if setup.kind.startswith("Grain") and setup.structure == "tuple":
        line = f"data = grain.MapDataset.source(list(zip(ids, ids))).batch({BATCH})\n"
        return line, "data.to_iter_dataset()" if "Iter" in setup.kind else "data"
    return None


def _uses(setup: Setup, name: str, given: str) -> str:
    """Return the lines that give Keras an input, and print what came."""
    steps = {"none": None, "fewer": FEWER, "all": BATCHES}[setup.steps]
    execution = setup.steps_per_execution
    more = f", steps_per_execution={execution}" if execution != 1 else ""
    if name == "predict":
        given = given.replace("ids, ids", "ids") + (f", steps={steps}" if steps else "")
        lines = "model = keras.Sequential([keras.layers.Identity()])\n"
        lines += f"model.compile({more[2:]})\n" if more else ""
        return f"{lines}print(model.predict({given}, verbose=0).ravel())\n"
    lines = "model = keras.Sequential([keras.layers.Dense(1)])\n"
    lines += f'model.compile("sgd", "mse", metrics=[lambda ids, _: ids]{more})\n'
    if name == "evaluate":
        given += f", steps={steps}" if steps else ""
        return f"{lines}print(model.evaluate({given}, verbose=0, return_dict=True))\n"
    if name.startswith("validation"):
        given = given.replace("ids, ids, ", "(ids, ids), validation_")
        given = f"validation_data={given}" + (f", validation_steps={steps}" if steps else "")
        return f"{lines}print(model.fit(ids, ids, {given}, epochs=2, verbose=0).history)\n"
    more_given = f", steps_per_epoch={steps}" if steps else ""
    more_given += f", shuffle={setup.shuffle}"
    if name == "fit after an exception":
        made = ""
        if setup.kind != "arrays" and given != "data":  # both calls read the same input
            made, given = f"data = {given}\n", "data"
        stopped = _STOP.format(last=0)
        return f"{stopped}{lines}{made}{_TWICE.format(given=given + more_given, callbacks='stop')}"
    if name == "fit resumed in mid-epoch":
        # What is backed up has to be built; a model that begins anew is given the backup.
        lines = lines.replace("([", "([keras.Input((1,)), ", 1)
        lines += 'backup = keras.callbacks.BackupAndRestore("backup", save_freq=2)\n'
        twice = _TWICE.format(given=given + more_given, callbacks="[backup, *stop]")
        loop, *rest = twice.splitlines()
        inside = textwrap.indent(lines, "    ").splitlines()
        stopped = _STOP.format(last=INTERRUPTED_AFTER - 1)
        return stopped + "\n".join([loop, *inside, *rest]) + "\n"
    given += more_given
    return f"{lines}print(model.fit({given}, epochs=2, verbose=0).history)\n"
