"""torch DataLoaders for tests of the audit."""

import torch
from torch.utils.data import DataLoader, TensorDataset

dataset = TensorDataset(torch.arange(240.0).reshape(40, 6), torch.arange(40, dtype=torch.int32))
ordered = DataLoader(dataset, batch_size=4)
shuffled = DataLoader(dataset, batch_size=4, shuffle=True)


def with_a_spawned_worker():
    return DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context="spawn")
