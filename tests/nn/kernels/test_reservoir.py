"""The default encoder and its decoder by programs of the kernels, against PyTorch."""

import pytest
import torch

from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import NO_CORRUPTION
from seqfeat.runtime.threads import WorkerPool
from tests.nn.kernels.arrays import generator
from tests.nn.kernels.networks import (
    CPU,
    STEPS,
    WIDTHS,
    assert_agree,
    by_kernels,
    compiled,
    loss_weights,
    make_batch,
    make_corruption,
    make_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
"""Means of 0 and scales of 1."""


def reservoir(steps="windows", **architecture):
    architecture = {**STEPS[steps], "n_linear_steps": 23, **architecture}
    network = make_network(pooling="reservoir", **architecture)
    with torch.no_grad():
        network.encoder.thresholds.normal_(std=0.1, generator=generator(5))
    return network


def embedded(batch, embedding_dim, seed=7):
    """Return a batch as the decoder of a reservoir is trained on."""
    embeddings = torch.randn(len(batch), embedding_dim, generator=generator(seed))
    return Batch(batch.values, batch.lengths, batch.observed, None, embeddings)


@pytest.mark.parametrize("keeps_statistics", [False, True])
@pytest.mark.parametrize("widths", list(WIDTHS))
@pytest.mark.parametrize("steps", list(STEPS))
def test_embeddings_and_reconstructions_are_those_of_pytorch(
    lanes, widths, steps, keeps_statistics
):
    network = reservoir(steps, keeps_statistics=keeps_statistics, **WIDTHS[widths])
    network.requires_grad_(False)
    ours, theirs = compiled(network), TorchBackend(network, CPU)
    close = {"rtol": 1e-5, "atol": 1e-5}
    for n_timesteps in (23, 5, 40, 1):
        batch = make_batch(network, 9, n_timesteps, is_ragged=n_timesteps > 3)
        arguments = batch.values, batch.lengths
        torch.testing.assert_close(
            ours.summarize(*arguments), theirs.summarize(*arguments), **close
        )
        embeddings = ours.embed(*arguments)
        torch.testing.assert_close(embeddings, theirs.embed(*arguments), **close)
        for length in (n_timesteps, n_timesteps + 4):
            torch.testing.assert_close(
                ours.decode(embeddings, length), theirs.decode(embeddings, length), **close
            )
            code = embeddings[:, : network.architecture.embedding_dim].contiguous()
            torch.testing.assert_close(
                ours.decode_recurrently(code, length),
                theirs.decode_recurrently(code, length),
                **close,
            )


@pytest.mark.parametrize("keeps_statistics", [False, True])
def test_a_series_has_the_same_bits_in_any_batch(lanes, keeps_statistics):
    network = reservoir(keeps_statistics=keeps_statistics, **WIDTHS["padded"])
    backend = compiled(network.requires_grad_(False))
    batch = make_batch(network, 13, 23, is_ragged=True)
    together = backend.embed(batch.values, batch.lengths)
    decoded = backend.decode(together, 23)
    for n_series in (1, 2, 5):
        first = backend.embed(batch.values[:n_series], batch.lengths[:n_series])
        assert torch.equal(first, together[:n_series])
        assert torch.equal(backend.decode(first, 23), decoded[:n_series])
    for row in range(13):
        # Alone, and without the padding.
        length = batch.lengths[row : row + 1]
        own = batch.values[row : row + 1, : int(length)].contiguous()
        assert torch.equal(backend.embed(own, length), together[row : row + 1])
        alone, largest = backend.scale_and_embed(own.double(), length, PLAIN)
        assert torch.equal(alone, together[row : row + 1])
        assert largest == own.abs().max()


@pytest.mark.parametrize("widths", list(WIDTHS))
@pytest.mark.parametrize("is_ragged", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_of_the_decoder_are_those_of_pytorch(lanes, widths, is_ragged, dropout):
    network = reservoir(**WIDTHS[widths])
    batch = embedded(make_batch(network, is_ragged=is_ragged), network.architecture.embedding_dim)
    corruption = NO_CORRUPTION
    if dropout:
        corruption = make_corruption(network, batch, dropout, input_noise=0.0, masking_ratio=0.0)
    found = by_kernels(network, batch, corruption)
    trained = torch.nn.Module()
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            trained.register_parameter(name.replace(".", "_"), weight)
    expected = by_torch(network, batch, corruption)
    assert_agree(trained, found, expected)


def by_torch(network, batch, corruption):
    backend = TorchBackend(network, CPU)
    with WorkerPool(1) as pool:
        loss = backend.backward([(batch, corruption)], loss_weights(network, batch), pool)
    return loss, [weight.grad.clone() for weight in backend.weights]


def test_errors_are_those_of_pytorch(lanes):
    network = reservoir(**WIDTHS["padded"])
    batch = embedded(make_batch(network, is_ragged=True), network.architecture.embedding_dim)
    torch.testing.assert_close(
        compiled(network).error_sums(batch), TorchBackend(network, CPU).error_sums(batch)
    )


def test_an_update_changes_only_what_is_trained(lanes):
    network = reservoir(**WIDTHS["padded"])
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    batch = embedded(make_batch(network), network.architecture.embedding_dim)
    backend = compiled(network)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    by_kernels(network, batch, NO_CORRUPTION, backend=backend)
    with WorkerPool(1) as pool:
        backend.update(optimizer, 1.0, pool)
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, weight in network.named_parameters() if weight.requires_grad}
    # The packed weights follow.
    embeddings = batch.embeddings
    torch.testing.assert_close(
        backend.decode(embeddings, 23),
        TorchBackend(network, CPU).decode(embeddings, 23),
        rtol=1e-5,
        atol=1e-5,
    )
