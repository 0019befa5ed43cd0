"""The right answer of an audit for inputs of every dtype, form and content, on every backend."""

import json

import keras
import pytest
from conftest import TESTS

from keras_loader_bench.loaders.audit import child
from keras_loader_bench.loaders.audit.parent import AuditRun
from keras_loader_bench.loaders.audit.texts import terminal

AUDITED = TESTS / "audited"
BACKEND = keras.backend.backend()
NAME = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "PyTorch"}[BACKEND]

pytestmark = [
    pytest.mark.each_backend,
    # Keras says so of every input that does not tell its length.
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
    # PyTorch says so of every sparse tensor.
    pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning"),
]

DTYPE = "complete, except for the dtype: every pass got the samples of the direct read"
WHOLE = "complete: every pass got the samples of the direct read"
ORDERED = "identical: every pass got the batches of the direct read, in order"
REFUSED = "`fit`, `evaluate` and `predict` on {} cannot be given `{}` ({}), of which Keras makes no"


def refused(field, what):
    return 1, REFUSED.format(NAME, field, what)


def by_backend(default, **others):
    return others.get(BACKEND, default)


CASES = [
    # name, options, exit status, what is said
    ("bfloat16", {}, 0, WHOLE),
    ("torch_bfloat16", {}, *by_backend(refused("x", "bfloat16 (4, 6)"), torch=(0, ORDERED))),
    ("float8", {}, *by_backend((0, WHOLE), torch=refused("x", "float8_e4m3fn (4, 6)"))),
    (
        "float64",
        {},
        0,
        by_backend(WHOLE, jax="gets `x` as float32, but the input yields float64; no"),
    ),
    (
        "thirds",
        {},
        0,
        by_backend(WHOLE, jax="its values are rounded to that, as layers of 32 bits"),
    ),
    (
        "large_ids",
        {"shuffle": False},
        *by_backend(
            (0, ORDERED),
            jax=(
                1,
                "batch 0: sample 0 has other values, as have 39 more; the largest difference is ",
            ),
        ),
    ),
    (
        "uint16",
        {},
        0,
        by_backend(WHOLE, torch="gets `x` as int32, but the input yields uint16; no"),
    ),
    (
        "uint32",
        {},
        0,
        by_backend(WHOLE, torch="gets `x` as int64, but the input yields uint32; no"),
    ),
    ("strings", {}, *refused("x", "string (4,)")),
    ("objects", {}, *refused("x/text", "string (4,)")),
    ("nan", {}, 0, WHOLE),
    ("scipy_sparse", {}, *by_backend(refused("x", "sparse float32 (4, 6)"), jax=(0, WHOLE))),
    ("tf_strings", {}, *by_backend(refused("x", "string (4,)"), tensorflow=(0, ORDERED))),
    (
        "tf_strings_in_a_dictionary",
        {},
        *by_backend(refused("x/text", "string (4,)"), tensorflow=(0, ORDERED)),
    ),
    ("tf_sparse", {}, *by_backend((0, ORDERED), torch=refused("x", "sparse float32 (4, 6)"))),
    (
        "tf_ragged",
        {},
        *by_backend(
            (0, ORDERED),
            torch=refused("x", "ragged float32 (4, None)"),
            jax=(0, "yields ragged float32; Keras fills its rows up with zeros."),
        ),
    ),
    (
        "labels_in_a_list",
        {},
        2,
        "error: `odd_inputs:labels_in_a_list`, batch 0: `y` is a list that holds an int, not an "
        "array; `fit` takes `x`, `(x, y)` or `(x, y, sample_weight)`, of arrays",
    ),
    ("four_parts", {}, 2, "batch 0: it is a tuple of 4; `fit` takes `x`, `(x, y)`"),
    ("padded", {}, 0, WHOLE),
    ("EmptyLast", {}, 1, "Read directly, batch 10 has no samples; "),
    ("alike", {}, 0, WHOLE),
    ("DropsTheRest", {}, 0, WHOLE),
    (
        "DropsTheRest",
        {"samples": 38},
        1,
        "the batches of an epoch hold 36 of 38 samples: 2 are left out (--samples 38).",
    ),
    ("DropsTheRest", {"samples": 36}, 0, WHOLE),
    (
        "drops_the_rest_of_a_dataset",
        {},
        0,
        "Note: the batches of an epoch hold 36 of 38 samples: 2 are left out, by the length of",
    ),
    (
        "augments",
        {},
        3,
        "not judged: the contents; numbers, shapes, labels and dtypes agree in every pass",
    ),
    (
        "only_noise",
        {},
        3,
        "not judged: the contents; numbers, shapes and dtypes agree in every pass",
    ),
    ("augments", {"identify": "y"}, 0, WHOLE),
    (
        "augments_with_ids",
        {"identify": "x/id", "shuffle": False},
        0,
        "Note: samples are recognised",
    ),
    ("augments", {"identify": "x/id"}, 2, "a batch has no field of this name; it has `x`, `y`."),
    (
        "LosesAnAugmentedBatch",
        {},
        1,
        "evaluate: batch 7 never came and batch 2 came more than once",
    ),
    (
        "LosesAnAugmentedBatch",
        {"identify": "odd_inputs:label_of"},
        1,
        "evaluate: batch 7 never came and batch 2 came more than once",
    ),
    (
        "two_workers",
        {"steps": 5},
        *by_backend(
            (
                1,
                "fit, epoch 1: shifted by 1 batch: the epoch began with batch 1 of the direct "
                "reading, expected 0.",
            ),
            tensorflow=(0, ORDERED),
        ),
    ),
]


def audit(name, *, steps=None, shuffle=True, identify=None, samples=None):
    """One run in this process: text and exit status."""
    events = []

    def report_event(event, **fields):
        events.append(json.loads(json.dumps({"event": event, **fields})))

    settings = {"target": f"odd_inputs:{name}", "backend": BACKEND, "patience_s": 60}
    settings |= {"steps": steps, "batches": None, "shuffle": shuffle}
    child.run({**settings, "identify": identify, "samples": samples}, report_event)
    run = AuditRun(events=tuple(events), timed_out=False, exit_status=0, log="")
    return terminal.render(name, [run], 600)


@pytest.mark.parametrize(
    ("name", "options", "status", "said"),
    CASES,
    ids=[
        "-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options, *_ in CASES
    ],
)
def test_the_answer_for(monkeypatch, name, options, status, said):
    needs = {"tf": "tensorflow", "torch": "torch", "drops": "torch"}
    pytest.importorskip(needs.get(name.partition("_")[0], "numpy"))
    monkeypatch.syspath_prepend(AUDITED)
    text, given = audit(name, **options)
    assert given == status, text
    assert said in " ".join(text.split()), text


def test_the_known_fault_is_named_where_batches_are_shifted(monkeypatch):
    if BACKEND == "tensorflow":
        pytest.skip("Keras' workers lose no batch on TensorFlow")
    monkeypatch.syspath_prepend(AUDITED)
    text, _ = audit("two_workers", steps=5)
    assert "This is known: Keras draws a batch to build the model" in " ".join(text.split())
