"""Writes containers in a process of its own, whose imports and memory are gone when it ends.

Run as a module it is that process: it prints a line of JSON for each container.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.sources.stored_array import SourceError


def written_containers(source: EncodedSource, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Prepare containers of a source, and return what is known of each.

    Args:
        source: the encoded images.
        kinds: keys of `CONTAINERS`.

    Returns:
        For each `kind`, `write_s` and `disk_bytes`, as in `Container`.

    Raises:
        SourceError: one cannot be written.
    """
    arguments = [str(source.folder), str(source.image_size), str(source.num_samples), *kinds]
    made = subprocess.run(  # noqa: S603  # this interpreter, this module
        [sys.executable, "-m", __name__, *arguments], capture_output=True, text=True, check=False
    )
    if made.returncode:
        lines = made.stderr.strip().splitlines() or [f"exit status {made.returncode}"]
        raise SourceError(lines[-1].removeprefix("SourceError: "))
    return [json.loads(line) for line in made.stdout.splitlines() if line.startswith("{")]


def main(folder: str, image_size: str, num_samples: str, *kinds: str) -> None:
    """Prepare containers, and print what is known of each."""
    source = EncodedSource.open(folder, image_size=int(image_size)).head(int(num_samples))
    for kind in kinds:
        found = prepare_container(source, kind)
        known = {"kind": kind, "write_s": found.write_s, "disk_bytes": found.disk_bytes}
        print(json.dumps(known), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SourceError as error:
        sys.exit(f"SourceError: {error}")
