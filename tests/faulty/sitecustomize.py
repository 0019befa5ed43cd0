"""On PYTHONPATH, adds loaders that fail to the registry of every process of a run."""

from pathlib import Path

from keras_loader_bench.loaders.registry import LOADERS, KnownFailure, LoaderEntry

LOADERS.update(
    {
        name: LoaderEntry(f"faulty_loaders:{name.title()}Loader")
        for name in ("drops", "hangs", "killed", "raises", "swaps")
    }
)
LOADERS.update(
    {
        name: LoaderEntry(f"faulty_loaders:{name.title()}Loader")
        for name in ("fails", "hoards", "later", "segfaults", "silent", "stuck")
    }
)
LOADERS["spawns"] = LoaderEntry(
    "faulty_loaders:SpawnsLoader", has_workers=True, worker_processes=True
)
LOADERS["broken"] = LoaderEntry("faulty_loaders_that_cannot_be_imported:Loader")
LOADERS["lacking"] = LoaderEntry("faulty_loaders:NeverMade", packages=("no_such_package",))
LOADERS["plain"] = LoaderEntry("faulty_loaders:PlainLoader")
LOADERS["known"] = LoaderEntry(
    "faulty_loaders:SwapsLoader",
    known_failure=KnownFailure(
        backends=("tensorflow",), min_workers=0, reason="It swaps.", link="https://example.org/why"
    ),
)

# Importing them would import NumPy in every process.
FAULTS = (Path(__file__).parent / "faults.txt").read_text().split()
LOADERS.update({f"fault_{name}": LoaderEntry(f"faults:{name}") for name in FAULTS})
