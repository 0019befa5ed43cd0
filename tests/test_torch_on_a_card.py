"""What torch does with batches where Keras runs on a card, as far as it shows without one."""

import pickle
import types

import keras
import numpy as np
import pytest
from registered import BACKEND

from keras_loader_bench.loaders import LoaderOptions, bridge, make_loader
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.each_backend


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_are_pinned_where_keras_runs_on_torch_with_cuda(device, monkeypatch, source):
    """On another backend, pinning would open a second context on the card."""
    tensor = types.SimpleNamespace(device=types.SimpleNamespace(type=device))
    monkeypatch.setattr(keras.ops, "convert_to_tensor", lambda value: tensor)
    with make_loader("torch", source, LoaderOptions()) as loader:
        data_loader = loader.fit_args(np.arange(8))["x"]
        assert data_loader.pin_memory == (BACKEND == "torch" and device == "cuda")


@pytest.mark.skipif(BACKEND != "torch", reason="torch's bridge")
def test_bridged_batches_lie_on_the_device_of_the_model():
    from keras_loader_bench.loaders.bridges.torch_bridge import Bridged

    class Numbers(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return np.zeros((4, 3), np.float32), np.zeros(4, np.int32)

    for batch in Bridged(Numbers(), torch.device("meta")):
        assert [part.device.type for part in batch] == ["meta", "meta"]


@pytest.mark.skipif(BACKEND != "torch", reason="torch's bridge")
@pytest.mark.parametrize("can_pin", [True, False])
def test_a_lazy_sequence_fills_pinned_memory_on_a_card(can_pin, monkeypatch, source):
    """Where none can be pinned, it fills any."""
    card = types.SimpleNamespace(device=types.SimpleNamespace(type="cuda"))
    asked, empty = [], torch.empty

    def without_pinning(size, *, dtype, pin_memory):
        asked.append(pin_memory)
        if not can_pin:
            raise RuntimeError("no")
        return empty(size, dtype=dtype)

    monkeypatch.setattr(torch, "empty", without_pinning)
    plain = make_sequence(source)
    expected = [[part.copy() for part in plain[i]] for i in range(len(plain))]
    assert asked == []
    sequence = make_sequence(source)
    with monkeypatch.context() as on_card:
        on_card.setattr(keras.ops, "convert_to_tensor", lambda value: card)
        bridge(sequence)
    for i in range(len(sequence)):
        for part, same in zip(sequence[i], expected[i], strict=True):
            assert part.tobytes() == same.tobytes()
    assert set(asked) == {True}
    assert pickle.loads(pickle.dumps(sequence))[0][0].tobytes() == expected[0][0].tobytes()


def make_sequence(source):
    return LazySequence(source, np.arange(source.num_samples), batch_size=64, num_workers=2)
