"""What a case may use, and which card NVML should look at for it."""

import pytest

from keras_loader_bench.bench.sensors.visible_devices import environment_of_case, first_card


@pytest.mark.parametrize(
    ("visible", "card"),
    [
        (None, 0),
        ("0", 0),
        ("2,0", 2),
        (" 1 ", 1),
        ("GPU-8932f937,0", "GPU-8932f937"),
        ("MIG-8932f937", "MIG-8932f937"),
        ("", None),
        ("-1", None),
        ("-1,0", None),
        ("NoDevFiles", None),
    ],
)
def test_the_first_visible_card_is_the_one_in_use(visible, card):
    assert first_card({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == card


def test_cpu_hides_every_card_from_every_backend():
    environment = environment_of_case("cpu", {"CUDA_VISIBLE_DEVICES": "1", "HOME": "/"})
    assert environment == {
        "HOME": "/",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "KERAS_TORCH_DEVICE": "cpu",
    }


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_what_somebody_has_set_stands(device):
    mine = {"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "CUDA_VISIBLE_DEVICES": "1"}
    environment = environment_of_case(device, mine)
    assert environment.items() >= mine.items()
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
