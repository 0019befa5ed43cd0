"""CIFAR-10 folders of a few rows, in the opcodes with which Python 2 wrote the official ones."""

import struct
import tarfile
from pathlib import Path

import numpy as np

ROWS = 20
CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def array(
    data: bytes, shape: tuple[int, int], *, dtype: bytes = b"u1", fortran: bytes = b"\x89"
) -> bytes:
    head = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87R"
    sizes = b"".join(b"M" + struct.pack("<H", size) for size in shape)
    kind = b"cnumpy\ndtype\nq\n" + short(dtype) + b"K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN"
    kind += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = b"T" + struct.pack("<I", len(data)) + data
    return head + b"q\x09(K\x01" + sizes + b"\x86" + kind + fortran + data + b"tb"


def label_list(labels: list[int]) -> bytes:
    return b"]q\x05(" + b"".join(b"J" + struct.pack("<i", label) for label in labels) + b"e"


def dictionary(**values: bytes) -> bytes:
    items = b"".join(short(key.encode()) + b"q\x02" + value for key, value in values.items())
    return b"\x80\x02}q\x01(" + items + b"u."


def pixels_and_labels(name: str) -> tuple[np.ndarray, list[int]]:
    """The `data` and `labels` of one batch; every batch has its own."""
    random = np.random.default_rng(BATCHES.index(name))
    pixels = random.integers(0, 256, (ROWS, 3072), dtype=np.uint8)
    return pixels, random.integers(0, 10, ROWS).tolist()


def batch(name: str = "test_batch", **changes: bytes) -> bytes:
    pixels, labels = pixels_and_labels(name)
    values = {
        "batch_label": short(b"some batch"),
        "labels": label_list(labels),
        "data": array(pixels.tobytes(), pixels.shape),
        "filenames": b"]q\r(" + short(b"a.png") * ROWS + b"e",
    }
    return dictionary(**{**values, **changes})


def meta(names: tuple[str, ...] = CLASS_NAMES) -> bytes:
    listed = b"]q\x04(" + b"".join(short(name.encode()) for name in names) + b"e"
    return dictionary(num_cases_per_batch=b"M\x10'", label_names=listed, num_vis=b"M\x00\x0c")


def files() -> dict[str, bytes]:
    return {"batches.meta": meta(), **{name: batch(name) for name in BATCHES}}


def write_folder(parent: Path) -> Path:
    folder = parent / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(folder: Path, parent: Path) -> Path:
    (folder / "readme.html").write_text("<p>CIFAR-10</p>")
    archive = parent / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="cifar-10-batches-py")
    return archive
