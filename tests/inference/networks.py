"""A small network, series for it, and what it makes of one series at a time."""

import numpy as np
import torch

from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, RecurrentAutoencoder

LENGTHS = (5, 9, 2, 7, 9, 4, 1, 8, 3, 6, 9)


def make_network(n_channels=2):
    """Return a network with random weights that are not trained."""
    network = RecurrentAutoencoder(
        Architecture(n_channels, 3, 6, patch_len=2, n_time_features=2, time_period=5)
    )
    initialize(network, torch.Generator().manual_seed(0))
    return network.requires_grad_(False)


def scaled_by_hand(items):
    """Return each series, with each channel standardized over all of them."""
    values = np.concatenate(items)
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return [(item - mean) / std for item in items]


def directly(network, item):
    """Return the embedding and the reconstruction of one scaled series."""
    values = torch.tensor(np.nan_to_num(item)[None], dtype=torch.float32)
    embedding = network.encode(values, torch.tensor([len(item)]))
    return embedding[0].numpy(), network.decode(embedding, len(item))[0].numpy()
