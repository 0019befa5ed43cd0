"""From any `PyDataset` to what `fit` reads fastest on each backend."""
