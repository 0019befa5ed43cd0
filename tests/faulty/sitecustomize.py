"""On PYTHONPATH, adds loaders that fail to the registry of every process of a run."""

import loaders

loaders.LOADERS.update(
    {
        name: f"faulty_loaders:{name.title()}Loader"
        for name in ("drops", "hangs", "killed", "raises", "swaps")
    }
)
