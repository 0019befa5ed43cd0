"""Writes containers in a process of its own, whose imports and memory are gone when it ends.

Run as a module it is that process: it prints a line of JSON for each container.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from keras_loader_bench.loaders.audit.parent import run
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.sources.stored_array import SourceError

LEAST_TIMEOUT_S = 300.0
SLOWEST = 2 * 2**20
"""Bytes per second; slower disks are not worth waiting for."""


def written_containers(
    source: EncodedSource, kinds: Sequence[str], *, timeout_s: float | None = None
) -> list[dict[str, Any]]:
    """Prepare containers of a source, and return what is known of each.

    Args:
        source: the encoded images.
        kinds: keys of `CONTAINERS`.
        timeout_s: how long each may take; `None`: by the size of the images.

    Returns:
        For each `kind`, `write_s` and `disk_bytes`, as in `Container`.

    Raises:
        SourceError: one cannot be written, or not in time.
    """
    if timeout_s is None:
        timeout_s = LEAST_TIMEOUT_S + float(source.offsets[-1]) / SLOWEST
    settings = {
        "folder": str(source.folder),
        "image_size": source.image_size,
        "num_samples": source.num_samples,
        "kinds": list(kinds),
    }
    made = run(__name__, settings, environment={}, timeout_s=timeout_s)
    if failed := made.event("failed"):
        raise SourceError(failed["message"])
    if made.timed_out or made.exit_status:
        stage = made.event("stage")
        end = f"took more than {timeout_s:,.0f} s" if made.timed_out else "was not written"
        kind = stage["kind"] if stage else kinds[0]
        raise SourceError(f"The container `{kind}` {end}. Its process printed: {made.log}")
    return [{name: each[name] for name in _KNOWN} for each in made.all("container")]


_KNOWN = ("kind", "write_s", "disk_bytes")


def main(folder: str, image_size: int, num_samples: int, kinds: Sequence[str]) -> None:
    """Prepare containers, and print what is known of each."""
    source = EncodedSource.open(folder, image_size=image_size).head(num_samples)
    for kind in kinds:
        _print(event="stage", kind=kind)
        found = prepare_container(source, kind)
        _print(event="container", **{name: getattr(found, name) for name in _KNOWN})


def _print(**event: Any) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    try:
        main(**json.loads(sys.argv[1]))
    except SourceError as error:
        _print(event="failed", message=str(error))
        sys.exit(1)
