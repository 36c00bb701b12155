"""Small networks, series and settings that the tests of training share."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels import make_backend
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.training.trainer import Trainer, TrainingSettings

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(max_iter=5, batch_size=8, learning_rate=1e-2)
CORRUPTED = replace(SETTINGS, dropout=0.2, masking_ratio=0.2, input_noise=0.3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_network(n_channels=2, embedding_dim=3, hidden_dim=5, **architecture):
    """Return a network with random weights, the same at every call."""
    sizes = n_channels, embedding_dim, hidden_dim
    network = RecurrentAutoencoder(Architecture(*sizes, **architecture))
    initialize(network, generator())
    return network


def torch_backend(network):
    return TorchBackend(network, CPU)


def compiled_backend(network):
    backend = make_backend(network, CPU)
    if not backend.is_compiled:
        pytest.skip("needs the compiled kernels")
    return backend


def cuda_backend(network):
    return make_backend(network, torch.device("cuda"))


def ragged():
    """Return eighteen series of 2 to 9 steps, a tenth of the values missing, three classes."""
    lengths = torch.tensor([4, 9, 2, 7, 5, 8] * 3)
    inside = (torch.arange(9) < lengths[:, None])[:, :, None]
    observed = inside & (torch.rand((18, 9, 2), generator=generator(1)) > 0.1)
    values = torch.randn((18, 9, 2), generator=generator(2)) * observed
    return Batch(values, lengths, observed, torch.tensor([0, 1, 2] * 6))


def waves():
    """Return thirty-two sines of one length, in two channels."""
    phase = 6 * torch.rand((32, 1, 1), generator=generator(3))
    values = torch.sin(phase + torch.linspace(0, 5, 8)[:, None] * torch.tensor([1.0, 2.0]))
    return Batch(values, torch.full((32,), 8))


def noise():
    """Return series that a network can only learn by heart."""
    return Batch(torch.randn((24, 4, 2), generator=generator(4)), torch.full((24,), 4))


def sines(n_samples=32, n_timesteps=12, seed=0):
    """Return sines of random phase as an array, for whole fits."""
    phase = np.random.default_rng(seed).uniform(0, 6, size=(n_samples, 1))
    return np.sin(np.linspace(0, 5, n_timesteps) + phase)[:, :, None]


class Observer:
    """Calls a function at the beginning and one at the end of every epoch."""

    def __init__(self, end=lambda network, history: False, begin=lambda: None):
        self.end_epoch, self.begin_epoch = end, begin


def stop_after(n_iter):
    return Observer(lambda network, history: history.n_iter == n_iter)


def trainer_of(backend, data, settings=SETTINGS, seed=0, micro_batch=None, **options):
    trainer = Trainer(backend, data, settings, generator(seed), **options)
    trainer.micro_batch = micro_batch or trainer.micro_batch
    return trainer


def train(backend, data, settings=SETTINGS, seed=0, *, observer=None, **options):
    """Train a backend's network, and return the trainer."""
    trainer = trainer_of(backend, data, settings, seed, **options)
    trainer.run(observer)
    return trainer


def weights_of(network):
    return copy.deepcopy(dict(network.state_dict()))


def gradients_of(backend):
    """Return the gradients that `backward` has left, by name; zeros where there are none."""
    names, weights = zip(*backend.network.named_parameters(), strict=True)
    gradients = [weight.grad for weight in weights]
    if backend.is_compiled:
        gradients = backend.backward.__self__.gradients
    return {
        name: torch.zeros_like(weight) if gradient is None else gradient.clone()
        for name, weight, gradient in zip(names, weights, gradients, strict=True)
    }


def assert_equal_weights(first, second):
    """Check that two networks, or their weights by name, agree in every bit."""
    first, second = (
        dict(one.state_dict()) if isinstance(one, torch.nn.Module) else one
        for one in (first, second)
    )
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(second[name]), err_msg=name)
