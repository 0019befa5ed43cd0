"""Which part of an image is delivered: its centre, or a part that is drawn, perhaps mirrored.

Parts are drawn as for AlexNet: 224 of 256 pixels a side, and every second one mirrored
(https://papers.nips.cc/paper/4824, section 4.1). Must not know: how images are stored or decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

View = Sequence[int]
"""How many pixels down and right of the centre a part lies, and 1 if it is mirrored, else 0."""

Views = npt.NDArray[np.int32]
"""The view of every sample of a pass, in its order, `(n, 3)`."""

CENTRE: View = (0, 0, 0)

_PER_MARGIN = 14


def margin(image_size: int) -> int:
    """Return how many pixels a part may lie away from the centre, in each direction: 16 of 224."""
    return image_size // _PER_MARGIN


def draw_views(count: int, image_size: int, *, seed: int, epoch: int) -> Views:
    """Return the views of a pass: the same for the same arguments, on every machine.

    Args:
        count: samples of the pass.
        image_size: height and width of a part, in pixels.
        seed: of the run, at least 0.
        epoch: another one has other views, at least 0.
    """
    generator = np.random.default_rng([seed, epoch])
    most = margin(image_size)
    views = np.empty((count, 3), np.int32)
    views[:, :2] = generator.integers(-most, most, size=(count, 2), endpoint=True)
    views[:, 2] = generator.integers(2, size=count)
    return views


def cut(image: npt.NDArray[Any], image_size: int, view: View = CENTRE) -> npt.NDArray[Any]:
    """Return a part of an image, without a copy.

    Args:
        image: `(height, width, channels)`.
        image_size: height and width of the part, in pixels.
        view: which part.
    """
    down, right, mirrored = view
    top = (image.shape[0] - image_size) // 2 + down
    left = (image.shape[1] - image_size) // 2 + right
    part = image[top : top + image_size, left : left + image_size]
    return part[:, ::-1] if mirrored else part
