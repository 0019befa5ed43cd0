"""The parts of images that are drawn: from seed and epoch alone, within the margin."""

import numpy as np
import pytest

from keras_loader_bench.loaders.encoded.contract import ImageOptions
from keras_loader_bench.loaders.encoded.views import cut, draw_views, margin

COUNT = 4000


def drawn(seed=0, epoch=0):
    return draw_views(COUNT, 224, seed=seed, epoch=epoch)


def test_another_epoch_and_another_seed_have_other_views():
    assert np.array_equal(drawn(1, 2), drawn(1, 2))
    for other in (drawn(1, 3), drawn(2, 2)):
        assert (drawn(1, 2) != other).any(axis=1).mean() > 0.9


def test_every_place_within_the_margin_comes_and_half_are_mirrored():
    views, most = drawn(), margin(224)
    assert most == 16  # 224 of 256 pixels
    for column in views[:, :2].T:
        places, counts = np.unique(column, return_counts=True)
        assert places.tolist() == list(range(-most, most + 1))
        expected = COUNT / len(places)
        assert abs(counts - expected).max() < 5 * np.sqrt(expected)  # 4 deviations of 33 places
    assert views[:, 2].mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(COUNT))


def test_a_part_is_cut_beside_the_centre_and_mirrored():
    image = np.arange(7 * 9 * 3).reshape(7, 9, 3)
    assert np.array_equal(cut(image, 3), image[2:5, 3:6])
    assert np.array_equal(cut(image, 3, (-2, 3, 0)), image[0:3, 6:9])
    assert np.array_equal(cut(image, 3, (2, -3, 1)), image[4:7, 2::-1])


@pytest.mark.parametrize("seed", [-1, 0.5, "0"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ValueError, match="`augment_seed` must be an integer of at least 0, got"):
        ImageOptions(augment_seed=seed)
