"""Which networks the kernels run, and which are left to PyTorch."""

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.kernels import CompiledBackend, make_backend
from tests.nn.kernels.networks import CPU, POOLINGS, make_network


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_kernels_run_every_architecture(pooling, bidirectional):
    network = make_network(pooling=pooling, bidirectional=bidirectional)
    assert isinstance(make_backend(network, CPU), CompiledBackend)
    assert isinstance(make_backend(network.requires_grad_(False), CPU), CompiledBackend)


def partly_frozen(network):
    network.decoder.output.bias.requires_grad_(False)
    return network


def hooked(network):
    network.encoder.register_forward_hook(lambda *_: None)
    return network


def weight_hooked(network):
    network.decoder.output.weight.register_hook(lambda gradient: gradient)
    return network


@pytest.mark.parametrize("change", [partly_frozen, hooked, weight_hooked, torch.nn.Module.double])
def test_the_rest_is_left_to_pytorch(change):
    assert isinstance(make_backend(change(make_network()), CPU), TorchBackend)


def test_without_kernels_all_is_left_to_pytorch(monkeypatch):
    monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: None)
    assert isinstance(make_backend(make_network(), CPU), TorchBackend)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"pooling": "last", "patch_len": 1, "dropout": 0.2},
        {"pooling": "mean", "bidirectional": True},
        {"pooling": "statistics"},
        {"pooling": "statistics", "target_weight": 0.5, "masking_ratio": 0.2},
        {"pooling": "statistics", "batch_size": 15, "early_stopping": True},
        {"target_weight": 0.5, "dropout": 0.2, "early_stopping": False},
        {"batch_size": 15},
    ],
)
def test_a_fit_goes_the_way_of_pytorch(parameters, monkeypatch):
    rng = np.random.default_rng(0)
    lengths, starts = rng.integers(20, 40, size=60), rng.uniform(0, 6, size=60)
    series = [
        np.sin(np.arange(length) / 3 + start)[:, None]
        for length, start in zip(lengths, starts, strict=True)
    ]
    y = (starts > 3).astype(int) if "target_weight" in parameters else None
    model = LSTMAutoencoder(16, max_iter=8, random_state=0, **parameters)
    curves = []
    for _ in range(2):
        model.fit(series, y)
        curves.append([*model.loss_curve_, *(model.validation_loss_curve_ or [])])
        monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: None)
    assert curves[0][7] < curves[0][0]
    assert curves[0] != curves[1]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
