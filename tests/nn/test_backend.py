"""How PyTorch runs a network, against its modules, autograd and AdamW.

The compiled backend is compared with this one in `tests.nn.kernels`.
"""

import copy
import inspect

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import NO_CORRUPTION
from seqfeat.nn.kernels import CompiledBackend
from seqfeat.nn.loss import LossWeights
from seqfeat.runtime.threads import WorkerPool
from tests.nn.kernels.arrays import numbers
from tests.nn.kernels.networks import (
    CPU,
    POOLINGS,
    loss_weights,
    make_batch,
    make_corruption,
    make_network,
    split,
)
from tests.training.examples import compiled_backend, torch_backend

pytestmark = pytest.mark.usefixtures("one_thread")


def frozen(**architecture):
    return make_network(**architecture).requires_grad_(False)


def test_both_backends_have_the_whole_interface():
    methods = [name for name, one in vars(Backend).items() if inspect.isfunction(one)]
    methods = [name for name in methods if not name.startswith("_")]
    assert len(methods) == 10
    for backend in (torch_backend(make_network()), compiled_backend(make_network())):
        for name in methods:
            assert callable(getattr(backend, name)), name
        assert backend.device == CPU
        assert backend.is_compiled == isinstance(backend, CompiledBackend)


# Inference


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embeddings_summaries_and_series_are_those_of_the_network(pooling):
    network = frozen(pooling=pooling, bidirectional=True)
    backend, batch = torch_backend(network), make_batch(network, is_ragged=True)
    embeddings = backend.embed(batch.values, batch.lengths)
    torch.testing.assert_close(embeddings, network.encode(batch.values, batch.lengths))
    summaries = backend.summarize(batch.values, batch.lengths)
    torch.testing.assert_close(network.encoder.projection(summaries), embeddings)
    assert torch.equal(backend.decode(embeddings, 9), network.decode(embeddings, 9))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_single_series_has_the_same_bits_as_in_a_batch(pooling):
    network = frozen(pooling=pooling, hidden_dim=64, embedding_dim=32)
    backend, batch = torch_backend(network), make_batch(network)
    together = backend.embed(batch.values, batch.lengths)
    for row in range(len(batch)):
        alone = batch.rows(slice(row, row + 1))
        assert torch.equal(backend.embed(alone.values, alone.lengths)[0], together[row])


def test_without_memory_for_two_series_one_is_embedded_alone(monkeypatch):
    network = frozen()
    backend, batch, encode = torch_backend(network), make_batch(network, n_series=1), []

    def encode_one(values, lengths):
        encode.append(len(values))
        if len(values) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return type(network).encode(network, values, lengths)

    monkeypatch.setattr(network, "encode", encode_one)
    assert backend.embed(batch.values, batch.lengths).shape == (1, 8)
    assert encode == [2, 1]


def test_other_errors_of_a_single_series_are_raised():
    backend = torch_backend(frozen())
    with pytest.raises(RuntimeError, match="input_size"):
        backend.embed(torch.zeros(1, 5, 3), torch.tensor([5]))


def test_series_are_scaled_in_float64_before_they_are_embedded():
    """float32 could not tell values near 1e9 apart."""
    backend = torch_backend(frozen())
    scaled, lengths = numbers(5, 9, 2).double(), torch.full((5,), 9)
    mean_and_scale = torch.tensor([[1e9, -3.0], [0.5, 20.0]], dtype=torch.float64)
    values = scaled * mean_and_scale[1] + mean_and_scale[0]
    found, largest = backend.scale_and_embed(values, lengths, mean_and_scale)
    expected = backend.embed(scaled.float(), lengths)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert largest == pytest.approx(scaled.abs().max().item(), rel=1e-6)
    assert largest.dtype == np.float32


def test_missing_values_count_as_the_mean():
    backend = torch_backend(frozen())
    values, lengths = numbers(5, 9, 2).double(), torch.full((5,), 9)
    observed = numbers(5, 9, 2, seed=2) > -0.5
    plain = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    gaps = torch.where(observed, values, torch.nan)
    found, largest = backend.scale_and_embed(gaps, lengths, plain)
    assert torch.equal(found, backend.embed((values * observed).float(), lengths))
    assert largest == (values * observed).abs().max().float().item()


def test_totals_of_a_batch_have_no_gradient():
    network = make_network(n_classes=3)
    batch = make_batch(network, is_ragged=True)
    squared_error, entropy, n_values, n_series = torch_backend(network).error_sums(batch)
    assert not squared_error.requires_grad
    embeddings = network.encode(batch.values, batch.lengths)
    difference = (network.decode(embeddings, 23) - batch.values)[batch.observed]
    assert squared_error.item() == pytest.approx(difference.square().sum().item(), rel=1e-5)
    expected = cross_entropy(network.head(embeddings), batch.targets, reduction="sum")
    assert entropy.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (n_values, n_series) == (batch.observed.sum(), 7)


# Gradients


def gradients_of(backend, parts, weights, n_threads=1):
    with WorkerPool(n_threads) as pool:
        loss = backend.backward(parts, weights, pool)
    return loss, [None if one.grad is None else one.grad.clone() for one in backend.weights]


@pytest.mark.parametrize("is_corrupted", [False, True])
def test_loss_and_gradients_are_those_of_autograd(is_corrupted):
    network = make_network(n_classes=3, pooling="statistics")
    batch, corruption = make_batch(network, is_ragged=True), NO_CORRUPTION
    if is_corrupted:
        corruption = make_corruption(network, batch, dropout=0.3)
    weights = LossWeights(0.01, 0.2)
    loss, gradients = gradients_of(torch_backend(network), [(batch, corruption)], weights)

    inputs = corruption.apply(batch.values)
    embeddings = network.encode(inputs, batch.lengths, corruption.encoder_units)
    reconstruction = network.decode(embeddings, 23, corruption.decoder_units)
    difference = (reconstruction - batch.values)[batch.observed]
    entropy = cross_entropy(network.head(embeddings), batch.targets, reduction="sum")
    expected = 0.01 * difference.square().sum() + 0.2 * entropy
    torch.testing.assert_close(loss, expected.detach())
    for found, wanted in zip(
        gradients, torch.autograd.grad(expected, network.parameters()), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_losses_and_gradients_of_parts_add_up(n_threads):
    network = make_network(n_classes=3)
    batch = make_batch(network, is_ragged=True)
    corruption = make_corruption(network, batch, dropout=0.3)
    backend, weights = torch_backend(network), loss_weights(network, batch)
    expected = gradients_of(backend, [(batch, corruption)], weights)
    found = gradients_of(backend, split(batch, corruption, 2, 4), weights, n_threads)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    again = gradients_of(backend, split(batch, corruption, 2, 4), weights)
    assert again[0] == found[0]
    assert all(torch.equal(*pair) for pair in zip(again[1], found[1], strict=True))


def test_a_head_without_targets_has_no_gradient():
    network = make_network(n_classes=3)
    backend, batch = torch_backend(network), make_batch(network)
    unlabelled = Batch(batch.values, batch.lengths)
    _, gradients = gradients_of(backend, [(unlabelled, NO_CORRUPTION)], LossWeights(0.1, 0.1))
    names = [name for name, _ in network.named_parameters()]
    missing = [name for name, one in zip(names, gradients, strict=True) if one is None]
    assert missing == ["head.weight", "head.bias"]


def test_gradients_are_found_where_they_are_turned_off():
    network = make_network()
    batch = make_batch(network)
    with torch.no_grad():
        _, gradients = gradients_of(
            torch_backend(network), [(batch, NO_CORRUPTION)], LossWeights(0.1, 0.0)
        )
    assert all(one.abs().max() > 0 for one in gradients)


def test_gradients_and_losses_add_up_over_processes():
    network = make_network(n_classes=3)
    backend, batch = torch_backend(network), make_batch(network)
    parts = [(Batch(batch.values, batch.lengths), NO_CORRUPTION)]
    loss, own = gradients_of(backend, parts, LossWeights(0.1, 0.0))
    messages = []

    def add(tensor):
        messages.append(tensor)
        return 3 * tensor

    total = backend.add_up(add, loss)
    assert len(messages) == 1
    torch.testing.assert_close(total, 3 * loss)
    for weight, gradient in zip(network.parameters(), own, strict=True):
        # Another process may have targets: the head's gradient counts as 0 here.
        gradient = torch.zeros_like(weight) if gradient is None else gradient
        torch.testing.assert_close(weight.grad, 3 * gradient)


def test_a_process_without_series_adds_nothing():
    network = make_network()
    backend = torch_backend(network)
    loss, gradients = gradients_of(backend, [], LossWeights(0.1, 0.0))
    assert loss == 0
    assert set(gradients) == {None}
    assert backend.add_up(lambda tensor: tensor + 1, loss) == 1
    assert all((weight.grad == 1).all() for weight in network.parameters())


# Updates


@pytest.mark.parametrize("max_norm", [1e-3, 1e3])
def test_an_update_is_a_clipped_step_of_adamw(max_norm):
    network = make_network()
    other, batch = copy.deepcopy(network), make_batch(network)
    backend = torch_backend(network)
    optimizers = [
        torch.optim.AdamW(one.parameters(), lr=1e-2, fused=True) for one in (network, other)
    ]
    for _ in range(3):
        _, gradients = gradients_of(backend, [(batch, NO_CORRUPTION)], LossWeights(0.1, 0.0))
        for weight, gradient in zip(other.parameters(), gradients, strict=True):
            weight.grad = gradient
        expected = torch.nn.utils.clip_grad_norm_(other.parameters(), max_norm)
        optimizers[1].step()
        with WorkerPool(1) as pool:
            norm = backend.update(optimizers[0], max_norm, pool)
        torch.testing.assert_close(norm, expected)
        for one, wanted in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, wanted)


def test_weights_without_a_gradient_stay_as_they_are():
    network = make_network(n_classes=3)
    backend, batch = torch_backend(network), make_batch(network)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    parts = [(Batch(batch.values, batch.lengths), NO_CORRUPTION)]
    gradients_of(backend, parts, LossWeights(0.1, 0.0))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, fused=True)
    with WorkerPool(1) as pool:
        backend.update(optimizer, 1.0, pool)
    changed = {
        name
        for name, weight in network.state_dict().items()
        if not torch.equal(weight, before[name])
    }
    assert changed == {name for name in before if not name.startswith("head")}
