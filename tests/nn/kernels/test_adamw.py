"""Optimizer steps by the kernels against PyTorch's, step by step."""

import numpy as np
import pytest
import torch

from seqfeat.nn.kernels import backpropagation as backpropagation_module
from seqfeat.runtime.threads import WorkerPool
from tests.nn.kernels.arrays import generator
from tests.nn.kernels.networks import backpropagation_of, compiled, make_network

MAX_NORM = 1.0

pytestmark = pytest.mark.usefixtures("one_thread")


def make_optimizer(network, n_groups):
    encoder, rest = list(network.encoder.parameters()), list(network.decoder.parameters())
    groups = [{"params": encoder + rest, "lr": 0.01}]
    if n_groups == 2:
        groups = [{"params": encoder, "lr": 0.003}, {"params": rest, "lr": 0.01}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.1, fused=True)


def gradients_at(step, network):
    """Return gradients that are to be clipped at every second step, and zeros at the fifth."""
    scale = (0.0 if step == 5 else 1.0) * (100.0 if step % 2 else 0.001)
    source = generator(step)
    return [scale * torch.randn(weight.shape, generator=source) for weight in network.parameters()]


def step_of_pytorch(network, optimizer, gradients):
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        weight.grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
    optimizer.step()
    return float(norm)


def step_of_kernels(backend, optimizer, gradients, n_threads=1):
    backpropagation = backpropagation_of(backend)
    for target, gradient in zip(backpropagation.gradients, gradients, strict=True):
        target.copy_(gradient)
    backpropagation.norms = [None, None]
    with WorkerPool(n_threads) as pool:
        return backend.update(optimizer, MAX_NORM, pool)


@pytest.mark.parametrize(("n_groups", "n_threads"), [(1, 1), (2, 1), (2, 2)])
def test_steps_are_those_of_pytorch(lanes, n_groups, n_threads, monkeypatch):
    """Also the first one, which makes the state; PyTorch takes one in between."""
    monkeypatch.setattr(backpropagation_module, "MIN_SHARED_WEIGHTS", 1)
    ours, theirs = (make_network(hidden_dim=10, embedding_dim=7) for _ in range(2))
    backend = compiled(ours)
    optimizers = [make_optimizer(network, n_groups) for network in (ours, theirs)]
    for number in range(12):
        for group in [*optimizers[0].param_groups, *optimizers[1].param_groups]:
            group["lr"] *= 0.9
        gradients = gradients_at(number, ours)
        norm = step_of_pytorch(theirs, optimizers[1], gradients)
        if number == 7:
            step_of_pytorch(ours, optimizers[0], gradients)
            torch.autograd.graph.increment_version(list(ours.parameters()))
        else:
            found = step_of_kernels(backend, optimizers[0], gradients, n_threads)
            assert found == pytest.approx(norm, rel=1e-5)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert states[0].keys() == states[1].keys()
    for number, state in states[1].items():
        assert states[0][number].keys() == state.keys()
        for name, value in state.items():
            torch.testing.assert_close(states[0][number][name], value, rtol=1e-5, atol=1e-9)


def test_a_state_of_pytorchs_own_is_continued():
    ours, theirs = make_network(), make_network()
    optimizers = [make_optimizer(network, 1) for network in (ours, theirs)]
    for network, optimizer in zip((ours, theirs), optimizers, strict=True):
        step_of_pytorch(network, optimizer, gradients_at(0, network))
    backend = compiled(ours)
    step_of_kernels(backend, optimizers[0], gradients_at(1, ours))
    step_of_pytorch(theirs, optimizers[1], gradients_at(1, theirs))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_another_optimizer_is_not_taken_for_the_first():
    network = make_network()
    backend = compiled(network)
    gradients = gradients_at(0, network)
    step_of_kernels(backend, make_optimizer(network, 1), gradients)
    other = make_optimizer(network, 1)
    step_of_kernels(backend, other, gradients)
    assert {float(state["step"]) for state in other.state.values()} == {1.0}


def test_a_gradient_that_is_not_finite_shows_in_the_norm():
    network = make_network()
    gradients = gradients_at(0, network)
    gradients[3].view(-1)[0] = torch.inf
    assert not np.isfinite(
        step_of_kernels(compiled(network), make_optimizer(network, 1), gradients)
    )


def test_the_packed_weights_are_those_of_the_step():
    network = make_network(pooling="statistics")
    backend = compiled(network)
    values, lengths = torch.randn(3, 9, 2, generator=generator()), torch.full((3,), 9)
    before = backend.embed(values, lengths)
    step_of_kernels(backend, make_optimizer(network, 2), gradients_at(1, network))
    found = backend.embed(values, lengths)
    assert not torch.equal(found, before)
    with torch.no_grad():
        expected = network.encode(values, lengths)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
