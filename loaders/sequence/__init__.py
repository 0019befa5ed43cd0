"""This suite's own `PyDataset`."""
