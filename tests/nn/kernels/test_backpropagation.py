"""Batches in parts, on several threads; norms of gradients; weights that change."""

import numpy as np
import pytest
import torch

from seqfeat.nn.corruption import NO_CORRUPTION
from seqfeat.nn.kernels import program_cache
from seqfeat.runtime.threads import WorkerPool
from tests.nn.kernels.networks import (
    WIDTHS,
    assert_agree,
    backpropagation_of,
    by_kernels,
    by_pytorch,
    compiled,
    loss_weights,
    make_batch,
    make_corruption,
    make_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("edges", [(), (1,), (1, 2, 6), (2, 4, 5, 6)])
def test_the_parts_of_a_batch_do_not_change_its_gradients(edges):
    network = make_network(pooling="statistics", patch_len=2)
    batch = make_batch(network, is_ragged=True)
    corruption = make_corruption(network, batch)
    found = by_kernels(network, batch, corruption, edges)
    assert_agree(network, found, by_pytorch(network, batch, corruption))


@pytest.mark.parametrize("n_threads", [2, 8])
def test_gradients_have_the_same_bits_on_any_number_of_threads(n_threads):
    network = make_network(pooling="statistics", n_classes=2)
    batch = make_batch(network)
    corruption = make_corruption(network, batch, dropout=0.2)
    alone = by_kernels(network, batch, corruption, (2, 4, 5))
    together = by_kernels(network, batch, corruption, (2, 4, 5), n_threads)
    assert alone[0] == together[0]
    assert all(torch.equal(*pair) for pair in zip(alone[1], together[1], strict=True))


def test_a_batch_without_parts_has_no_gradient():
    network = make_network()
    batch, backend = make_batch(network), compiled(network)
    by_kernels(network, batch, NO_CORRUPTION, backend=backend)
    with WorkerPool(1) as pool:
        assert backend.backward([], loss_weights(network, batch), pool) == 0.0
    assert not bool(backpropagation_of(backend).flat.any())
    assert backpropagation_of(backend).norm == 0.0


@pytest.mark.parametrize(
    ("n_classes", "edges", "n_threads", "widths"),
    [
        (0, (), 1, "whole"),
        (2, (3,), 1, "padded"),
        (0, (2, 4, 5), 2, "padded"),
        (2, (3,), 2, "whole"),
    ],
)
def test_the_norm_is_that_of_all_gradients(lanes, n_classes, edges, n_threads, widths):
    network = make_network(pooling="statistics", n_classes=n_classes, **WIDTHS[widths])
    batch, backend = make_batch(network), compiled(network)
    for dropout in (0.0, 0.2):
        corruption = make_corruption(network, batch, dropout=dropout)
        _, gradients = by_kernels(network, batch, corruption, edges, n_threads, backend)
        expected = np.linalg.norm(torch.cat([one.flatten() for one in gradients]).double())
        assert backpropagation_of(backend).norm == pytest.approx(expected, rel=1e-6)


def test_gradients_of_processes_add_up():
    network = make_network(n_classes=2)
    batch, backend = make_batch(network), compiled(network)
    loss, gradients = by_kernels(network, batch, NO_CORRUPTION, backend=backend)
    # Three processes with the same batch.
    assert backend.add_up(lambda tensor: 3 * tensor, loss) == pytest.approx(3 * loss)
    backpropagation = backpropagation_of(backend)
    for one, other in zip(backpropagation.gradients, gradients, strict=True):
        assert torch.equal(one, 3 * other)
    expected = np.linalg.norm(3 * torch.cat([one.flatten() for one in gradients]).double())
    assert backpropagation.norm == pytest.approx(expected, rel=1e-6)


def test_batches_of_many_shapes_one_after_the_other(monkeypatch):
    """Programs share memory, which grows, and only so many are kept."""
    monkeypatch.setattr(program_cache, "MAX_PROGRAMS", 3)
    network = make_network(pooling="statistics", patch_len=2, n_time_features=3)
    backend = compiled(network)
    for n_timesteps in (9, 23, 4, 60, 9, 11, 12, 13, 60, 4):
        is_ragged = n_timesteps % 2 == 0
        batch = make_batch(network, n_timesteps=n_timesteps, is_ragged=is_ragged, seed=n_timesteps)
        corruption = make_corruption(network, batch, dropout=0.3)
        found = by_kernels(network, batch, corruption, backend=backend)
        assert_agree(network, found, by_pytorch(network, batch, corruption))
        workspaces = backpropagation_of(backend).workspaces
        assert all(len(workspace.cache.programs) <= 3 for workspace in workspaces)


def test_weights_that_changed_are_used_at_once():
    network = make_network(hidden_dim=10, pooling="statistics")
    batch, backend = make_batch(network), compiled(network)
    first = by_kernels(network, batch, NO_CORRUPTION, backend=backend)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.7)
    found = by_kernels(network, batch, NO_CORRUPTION, backend=backend)
    assert float(found[0]) != float(first[0])
    assert_agree(network, found, by_pytorch(network, batch, NO_CORRUPTION))
