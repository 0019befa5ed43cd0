"""The container `folder`: a file for each image, in a folder for each class.

`image_dataset_from_directory` reads it and gives the classes the same numbers, empty ones included.
Without shuffling it delivers the rows in the order `np.argsort(labels, kind="stable")`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from keras_loader_bench.loaders.encoded.decoding import extension
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource


def write(source: EncodedSource, folder: Path) -> None:
    """Write `<class name>/<row in eight digits>.<jpg, png, bmp or gif>`."""
    classes = [folder / name for name in source.class_names]
    for each in classes:
        each.mkdir()
    for row, label in enumerate(source.labels.tolist()):
        encoded = source.encoded(row)
        (classes[label] / f"{row:08}.{extension(encoded)}").write_bytes(encoded)


class Records:
    """Reads the file of a row.

    Args:
        folder: what `write` has filled.
    """

    def __init__(self, folder: Path) -> None:
        classes = sorted(folder.iterdir(), key=lambda path: path.name)
        labelled = [(path, label) for label, each in enumerate(classes) for path in each.iterdir()]
        labelled.sort(key=lambda found: found[0].name)
        self.paths = [path for path, _ in labelled]
        """The file of every row."""
        self._labels = [label for _, label in labelled]

    def __getitem__(self, row: int) -> tuple[bytes, int]:
        """Return the encoded image and the label of a row."""
        return self.paths[row].read_bytes(), self._labels[row]

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
