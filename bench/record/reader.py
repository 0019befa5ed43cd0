"""Reading `run.json`, or `run.json.gz`: checked once against the types of `bench.record.schema`."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from keras_loader_bench.bench.record.round_tables import from_tables
from keras_loader_bench.bench.record.run_path import run_path
from keras_loader_bench.bench.record.schema import SCHEMA, Run
from keras_loader_bench.bench.record.shared_audits import full_audits
from keras_loader_bench.bench.record.upgrade import upgrade

_RESTORE = "Restore it or run the benchmark again."


class RunFileError(ValueError):
    """`run.json` cannot be used; the message is one line and names a remedy."""


def read_run(folder: Path) -> Run:
    """Read the raw values of a run.

    Args:
        folder: the folder that holds `run.json` or `run.json.gz`.

    Raises:
        RunFileError: the file is missing, not valid or of a newer schema.
    """
    path = run_path(folder)
    try:
        stored = path.read_bytes()
        content = json.loads(gzip.decompress(stored) if path.suffix == ".gz" else stored)
    except (FileNotFoundError, NotADirectoryError):
        remedy = "Name a folder of results/, or make one with `pytest bench/ --benchmark-only`."
        raise RunFileError(f"`{path}` does not exist. {remedy}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RunFileError(f"`{path}` cannot be decompressed: {error}. {_RESTORE}") from error
    except OSError as error:
        raise RunFileError(f"`{path}` cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(f"`{path}` cannot be read as JSON: {error}. {_RESTORE}") from error
    try:
        return parse_run(content)
    except RunFileError as error:
        raise RunFileError(f"`{path}`: {error}") from None


def parse_run(content: Any) -> Run:
    """Return the typed records of a run, whatever its schema.

    Args:
        content: the decoded content of `run.json`, however much of it is still missing.

    Raises:
        RunFileError: it is no run, or of a newer schema; or a field has another type than
            `bench.record.schema` says: the message names the first one.
    """
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise RunFileError("no `schema`: this is not a run of this suite. Name another folder.")
    if content["schema"] > SCHEMA:
        raise RunFileError(
            f"schema {content['schema']} is newer than {SCHEMA}, the newest that this version "
            "reads. Upgrade keras-loader-bench and try again."
        )
    # As JSON, in which an object may become a dataclass without giving up strict types.
    text = json.dumps(_without_nulls(upgrade(full_audits(from_tables(content)))))
    try:
        return _adapter().validate_json(text, strict=True)
    except ValidationError as error:
        raise RunFileError(_complaint(error)) from None


@cache
def _adapter() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


def _without_nulls(value: Any) -> Any:
    """Return a value without the fields that are null, which is as good as missing."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _complaint(error: ValidationError) -> str:
    """Name the first field that is wrong: `cases[0].case.backend`."""
    first = error.errors()[0]
    where = ""
    for part in first["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    reason = first["msg"][:1].lower() + first["msg"][1:]
    got = "" if first["type"] == "missing" else f", got {type(first['input']).__name__}"
    remedy = "Restore the file or run the benchmark again."
    return f"`{where.lstrip('.')}`: {reason}{got}. {remedy}"
