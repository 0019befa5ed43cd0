"""Reads CIFAR-10's own files without trusting them.

A batch is a pickle that Python 2 wrote with protocol 2, and a pickle is a program. Three walls:

1. No file larger than its official size allows is read.
2. Only the opcodes that Python 2 needed to write a batch are accepted, and only as many. None of
   them fetches from the memo: nothing is shared, and what is loaded is never larger than the file.
3. The only names that it can look up are the three of a numpy array, and those give `_Recorded`:
   it notes the arguments, and our own code decides what they mean. No numpy code runs.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.sources.image_source import SourceError, Split
from keras_loader_bench.loaders.system.text import shown

IMAGE_SHAPE = (32, 32, 3)
"""Height, width and channels of every image, channels last."""

FOLDER = "cifar-10-batches-py"
META_FILE = "batches.meta"
BATCH_FILES: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}

PUBLISHED_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
"""As published in torchvision's `datasets/cifar.py` (`train_list`, `test_list`, `meta`)."""

ROWS_PER_BATCH = 10_000
"""Images in each of the six batches; https://www.cs.toronto.edu/~kriz/cifar.html."""

NUM_CLASSES = 10
PIXELS = 3 * 32 * 32

MAX_FILE_BYTES = 32 * 2**20
"""No file of the folder is larger: 10,000 x 3,072 pixels and as many names of up to 255 bytes."""

REMEDY = "Unpack https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz again."

_MAX_OPCODES = 100_000
"""An official batch has about 30,000: a label, a name and a memo entry for every image."""

_MAX_TUPLES = 100
"""An official batch has 6. Python hashes nested tuples recursively, without a limit of depth."""

# fmt: off
_OPCODES = {
    "PROTO", "STOP", "MARK", "NONE", "NEWFALSE", "BININT", "BININT1", "BININT2", "BINSTRING",
    "SHORT_BINSTRING", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "GLOBAL", "REDUCE", "BUILD",
}
# fmt: on


def read_file(path: Path) -> bytes:
    """Return the content of one of the folder's files, at most `MAX_FILE_BYTES`.

    Raises:
        SourceError: the file is missing, cannot be read, is no regular file or is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise _refused(path, "it is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise SourceError(f"`{path}` is missing. {REMEDY}") from None
    except OSError as error:
        raise SourceError(f"`{path}` cannot be read: {error.strerror}.") from error
    if len(content) > MAX_FILE_BYTES:
        raise _refused(path, f"it is larger than {MAX_FILE_BYTES // 2**20} MiB")
    return content


def has_published_md5(path: Path) -> bool:
    """Return whether a file is, byte for byte, the official one of that name."""
    md5 = hashlib.md5(read_file(path), usedforsecurity=False)
    return md5.hexdigest() == PUBLISHED_MD5[path.name]


def parse_batch(
    path: Path, content: bytes, *, rows: int = ROWS_PER_BATCH
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the images and labels of one batch.

    Args:
        path: the file's path, for messages.
        content: the file's bytes.
        rows: the number of images that it must hold.

    Returns:
        Images uint8 `(rows, 32, 32, 3)`, channels last; labels uint8 `(rows,)`.

    Raises:
        SourceError: the content is not a batch of `rows` images.
    """
    batch = _parse(path, content, keys=(b"data", b"labels"))
    pixels = _pixels(path, batch[b"data"], rows)
    labels = batch[b"labels"]
    if not isinstance(labels, list) or len(labels) != rows:
        raise _refused(path, f"`labels` is not a list of {rows} labels")
    if not all(type(label) is int and 0 <= label < NUM_CLASSES for label in labels):
        raise _refused(path, "`labels` holds something else than integers from 0 to 9")
    # Stored as three planes, red first, each row by row.
    images = pixels.reshape(rows, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.array(labels, dtype=np.uint8)


def parse_class_names(path: Path, content: bytes) -> tuple[str, ...]:
    """Return the ten class names of `batches.meta`, label 0 first.

    Raises:
        SourceError: the content does not hold ten names.
    """
    names = _parse(path, content, keys=(b"label_names",))[b"label_names"]
    if not isinstance(names, list) or len(names) != NUM_CLASSES:
        raise _refused(path, f"`label_names` is not a list of {NUM_CLASSES} names")
    if not all(type(name) is bytes and name.isascii() and name for name in names):
        raise _refused(path, "`label_names` holds something else than ASCII strings")
    decoded = tuple(name.decode("ascii") for name in names)
    if not all(map(str.isprintable, decoded)):
        raise _refused(path, "`label_names` holds characters that cannot be printed")
    return decoded


def _pixels(path: Path, value: object, rows: int) -> npt.NDArray[np.uint8]:
    """Return the array that numpy's `__reduce__` described, made by ourselves."""
    state = value.state if isinstance(value, _Array) else None
    if type(state) is not tuple or len(state) != 5:
        raise _refused(path, "`data` is not a numpy array")
    _, shape, dtype, fortran_order, data = state
    if not isinstance(dtype, _Dtype) or dtype.arguments[:1] != (b"u1",):
        raise _refused(path, "`data` does not have the dtype uint8")
    if shape != (rows, PIXELS) or fortran_order:
        raise _refused(path, f"`data` does not have the shape ({rows}, {PIXELS}), row by row")
    if type(data) is not bytes or len(data) != rows * PIXELS:
        raise _refused(path, f"`data` does not hold {rows * PIXELS} bytes")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


class _Recorded:
    """Stands for something of numpy's that a pickle calls: notes the arguments, does nothing.

    A pickle can also `BUILD` on the class itself; that fails, for `__setstate__` lacks its `self`.
    """

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Recorded):
    __slots__ = ()


class _Dtype(_Recorded):
    __slots__ = ()


_GLOBALS: dict[tuple[str, str], type[_Recorded]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Recorded,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Recorded]:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _ForbiddenError(f"it names `{module}.{name}`, which no batch needs") from None


class _ForbiddenError(Exception):
    """The pickle contains what no batch contains."""


def _parse(path: Path, content: bytes, *, keys: tuple[bytes, ...]) -> dict[bytes, Any]:
    try:
        _check_opcodes(content)
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _ForbiddenError as error:
        raise _refused(path, str(error)) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise _refused(path, f"the pickle is truncated or damaged ({error})") from error
    batch = found if isinstance(found, dict) else {}
    for key in keys:
        if key not in batch:
            raise _refused(path, f"the key `{key.decode()}` is missing")
    return batch


def _check_opcodes(content: bytes) -> None:
    tuples = 0
    for number, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            raise _ForbiddenError(f"opcode {opcode.name} at byte {position} is none of a batch's")
        tuples += opcode.name.startswith("TUPLE")
        if number > _MAX_OPCODES or tuples > _MAX_TUPLES:
            raise _ForbiddenError("it has more opcodes than a batch needs")
        # The unpickler allocates its memo up to the largest index that is named.
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > _MAX_OPCODES:
            raise _ForbiddenError(f"memo index {argument} at byte {position} is absurd")


def _refused(path: Path, problem: str) -> SourceError:
    return SourceError(f"`{path}` is not a valid file of CIFAR-10: {shown(problem)}. {REMEDY}")
