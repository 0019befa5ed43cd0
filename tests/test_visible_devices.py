"""What a case may use, and which card NVML should look at for it."""

import pytest

from keras_loader_bench.bench.sensors.visible_devices import (
    environment_of_case,
    environment_of_own_rank,
    environment_of_rank,
    first_card,
    visible_cards,
)


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


@pytest.mark.parametrize(
    ("visible", "cards"),
    [
        (None, ["0", "1", "2"]),
        ("2, GPU-8932f937", ["2", "GPU-8932f937"]),
        ("1,-1,0", ["1"]),
        ("", []),
    ],
)
def test_the_visible_cards_are_those_before_nonsense(visible, cards):
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert visible_cards(environment, 3) == cards


def test_each_rank_has_a_card_of_its_own_where_there_are_as_many():
    def cards(environment, ranks, count):
        found = [environment_of_rank(environment, rank, ranks, count) for rank in range(ranks)]
        return [each.get("CUDA_VISIBLE_DEVICES") for each in found]

    assert cards({}, 2, 2) == ["0", "1"]
    assert cards({"CUDA_VISIBLE_DEVICES": "3,1,0"}, 2, 4) == ["3", "1"]
    assert cards({}, 2, 1) == [None, None], "they share it"
    assert cards({"CUDA_VISIBLE_DEVICES": "-1"}, 2, 4) == ["-1", "-1"]
    assert cards({}, 2, 0) == [None, None]


def test_a_rank_that_others_started_has_a_card_by_its_place_on_its_machine():
    def card(count, **environment):
        return environment_of_own_rank(environment, count).get("CUDA_VISIBLE_DEVICES")

    assert card(4, LOCAL_RANK="1", LOCAL_WORLD_SIZE="2") == "1"
    assert card(4, LOCAL_RANK="1", LOCAL_WORLD_SIZE="2", CUDA_VISIBLE_DEVICES="3,2") == "2"
    assert card(1, LOCAL_RANK="1", LOCAL_WORLD_SIZE="2") is None, "they share it"
    assert card(4, LOCAL_RANK="1") is None, "nobody says how many there are"
    assert card(4, LOCAL_RANK="0", LOCAL_WORLD_SIZE="1", CUDA_VISIBLE_DEVICES="2") == "2"
