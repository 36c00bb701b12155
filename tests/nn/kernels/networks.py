"""Networks and batches for comparing the compiled backend with PyTorch's."""

import itertools
from dataclasses import replace

import torch

from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import draw_corruption
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels import CompiledBackend, make_backend
from seqfeat.nn.loss import LossWeights
from seqfeat.nn.network import Architecture, build_network
from seqfeat.runtime.threads import WorkerPool
from tests.nn.kernels.arrays import generator

CPU = torch.device("cpu")

# Widths of whole vectors of any length, and of none.
WIDTHS = {
    "whole": {"hidden_dim": 32, "embedding_dim": 16},
    "padded": {"hidden_dim": 10, "embedding_dim": 7},
}
# One step a timestep; patches; overlapping windows.
STEPS = {
    "timesteps": {},
    "patches": {"patch_len": 4, "n_time_features": 5, "time_period": 6},
    "windows": {
        "patch_len": 3,
        "n_time_features": 16,
        "time_period": 6,
        "window_len": 6,
        "window_stride": 2,
    },
}
POOLINGS = ["last", "mean", "max", "statistics"]


def make_network(**architecture):
    sizes = {"n_channels": 2, "embedding_dim": 8, "hidden_dim": 16}
    network = build_network(Architecture(**{**sizes, **architecture}))
    initialize(network, generator())
    return network


def make_batch(network, n_series=7, n_timesteps=23, is_ragged=False, seed=1, is_weighted=False):
    """Return a batch; a ragged one has gaps, too."""
    a, source = network.architecture, generator(seed)
    values = torch.randn((n_series, n_timesteps, a.n_channels), generator=source)
    lengths, observed = torch.full((n_series,), n_timesteps), None
    if is_ragged:
        lengths = torch.randint(3, n_timesteps + 1, (n_series,), generator=source)
        lengths[-1] = n_timesteps
        inside = (torch.arange(n_timesteps) < lengths[:, None])[:, :, None]
        observed = inside & (torch.rand(values.shape, generator=source) > 0.1)
        values = values * observed
    targets = torch.arange(n_series) % a.n_classes if a.n_classes else None
    if a.n_targets:
        targets = torch.randn((n_series, a.n_targets), generator=source)
    batch = Batch(values, lengths, observed, targets)
    if not is_weighted:
        return batch
    weights = torch.rand((2, n_series), generator=source) + 0.2
    return replace(batch, weights=weights[0], target_weights=weights[1])


def make_corruption(network, batch, dropout=0.0, input_noise=0.5, masking_ratio=0.2, seed=2):
    rates = {"dropout": dropout, "input_noise": input_noise, "masking_ratio": masking_ratio}
    shape = tuple(batch.values.shape)
    return draw_corruption(network.architecture, shape, generator(seed), **rates)


def split(batch, corruption, *edges):
    slices = [slice(*pair) for pair in itertools.pairwise([0, *edges, len(batch)])]
    return [(batch.rows(rows), corruption.rows(rows)) for rows in slices]


def loss_weights(network, batch):
    share = 0.4 if network.head is not None else 0.0
    n_values, n_targets = batch.counts
    return LossWeights((1 - share) / n_values, share / n_targets)


def compiled(network):
    backend = make_backend(network, CPU)
    assert isinstance(backend, CompiledBackend)
    return backend


def by_kernels(network, batch, corruption, edges=(3,), n_threads=1, backend=None):
    """Return the loss and the gradients of a batch that is cut at the edges."""
    backend = backend or compiled(network)
    with WorkerPool(n_threads) as pool:
        parts = split(batch, corruption, *edges)
        loss = backend.backward(parts, loss_weights(network, batch), pool)
    return loss, [gradient.clone() for gradient in backpropagation_of(backend).gradients]


def backpropagation_of(backend):
    return backend.backward.__self__


def by_pytorch(network, batch, corruption):
    backend = TorchBackend(network, CPU)
    with WorkerPool(1) as pool:
        loss = backend.backward([(batch, corruption)], loss_weights(network, batch), pool)
    return loss, [weight.grad.clone() for weight in network.parameters()]


def assert_agree(network, found, expected):
    """Compare losses and gradients up to rounding."""
    torch.testing.assert_close(
        torch.as_tensor(float(found[0])), torch.as_tensor(float(expected[0])), rtol=1e-5, atol=0
    )
    for (name, _), one, other in zip(
        network.named_parameters(), found[1], expected[1], strict=True
    ):
        scale = float(other.abs().max())
        assert one.shape == other.shape, name
        assert scale > 0, name
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * scale, msg=name)
