"""What loaders of image files share: where the files are, and their pixels by Pillow.

Worker processes import it. Must not know: any framework.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.containers.folder import Records
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import CENTRE, View


def image_files(source: EncodedSource) -> list[str]:
    """Return the path of the file of every row, in the container `folder`."""
    return list(map(str, Records(prepare_container(source, "folder").data).paths))


def by_pillow(
    file: str | Path | IO[bytes], image_size: int, view: View = CENTRE
) -> npt.NDArray[np.uint8]:
    """Return the centre of an image, or another part, decoded and cut out as people do with Pillow.

    Args:
        file: its path, or an open file.
        image_size: height and width of the part, in pixels.
        view: which part.

    Returns:
        uint8 RGB of shape `(image_size, image_size, 3)`, read-only.
    """
    down, right, mirrored = view
    with Image.open(file) as image:
        left = (image.width - image_size) // 2 + right
        top = (image.height - image_size) // 2 + down
        whole = image.convert("RGB")
    part = whole.crop((left, top, left + image_size, top + image_size))
    return np.asarray(ImageOps.mirror(part) if mirrored else part)
