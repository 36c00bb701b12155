"""Inference by programs of the kernels, against PyTorch and on many threads."""

import copy
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.kernels import embedder as embedder_module
from seqfeat.nn.kernels import make_backend
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from tests.nn.kernels.arrays import numbers
from tests.nn.kernels.networks import CPU, STEPS, WIDTHS, compiled, make_network

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
"""Means of 0 and scales of 1."""

CASES = [
    ("last", False, "whole", "timesteps"),
    ("last", True, "padded", "windows"),
    ("mean", False, "padded", "patches"),
    ("mean", True, "whole", "timesteps"),
    ("max", False, "whole", "windows"),
    ("max", True, "padded", "timesteps"),
    ("statistics", False, "padded", "windows"),
    ("statistics", False, "whole", "timesteps"),
    ("statistics", True, "whole", "patches"),
]


def frozen_network(**architecture):
    sizes = {"embedding_dim": 7, "hidden_dim": 10, "pooling": "statistics"}
    return make_network(**{**sizes, **architecture}).eval().requires_grad_(False)


def make_values(n_series=9, n_timesteps=31, seed=1):
    source = torch.Generator().manual_seed(seed)
    values = torch.randn((n_series, n_timesteps, 2), generator=source)
    lengths = torch.randint(1, n_timesteps + 1, (n_series,), generator=source)
    lengths[0] = n_timesteps
    inside = (torch.arange(n_timesteps) < lengths[:, None])[:, :, None]
    return values * inside, lengths


def embedder_of(backend):
    return backend.embed.__self__


@pytest.mark.parametrize(("pooling", "bidirectional", "widths", "steps"), CASES)
def test_embeddings_and_reconstructions_are_those_of_pytorch(
    lanes, pooling, bidirectional, widths, steps
):
    architecture = {**WIDTHS[widths], **STEPS[steps]}
    network = frozen_network(pooling=pooling, bidirectional=bidirectional, **architecture)
    ours, theirs = compiled(network), TorchBackend(network, CPU)
    for n_timesteps in (31, 5, 60, 31, 1):
        values, lengths = make_values(n_timesteps=n_timesteps, seed=n_timesteps)
        close = {"rtol": 1e-5, "atol": 2e-6}
        embeddings = ours.embed(values, lengths)
        torch.testing.assert_close(embeddings, theirs.embed(values, lengths), **close)
        summaries = ours.summarize(values, lengths)
        torch.testing.assert_close(summaries, theirs.summarize(values, lengths), **close)
        for length in (n_timesteps, n_timesteps + 4):
            series = ours.decode(embeddings, length)
            torch.testing.assert_close(series, theirs.decode(embeddings, length), **close)


@pytest.mark.parametrize("architecture", [{}, {"bidirectional": True, "pooling": "mean"}])
def test_a_series_has_the_same_bits_in_any_batch(lanes, architecture):
    backend, (values, lengths) = compiled(frozen_network(**architecture)), make_values(37)
    together = backend.embed(values, lengths)
    decoded = backend.decode(together, 31)
    for n_series in (1, 2, 5, 36):
        first = backend.embed(values[:n_series], lengths[:n_series])
        assert torch.equal(first, together[:n_series])
        assert torch.equal(backend.decode(first, 31), decoded[:n_series])
    backwards = backend.embed(values.flip(0).contiguous(), lengths.flip(0))
    assert torch.equal(backwards.flip(0), together)
    scaled, _ = backend.scale_and_embed(values.double(), lengths, PLAIN)
    assert torch.equal(scaled, together)
    for row in range(37):
        # Alone, and without the padding.
        own = values[row : row + 1, : lengths[row]].contiguous()
        assert torch.equal(backend.embed(own, lengths[row : row + 1]), together[row : row + 1])
        alone, _ = backend.scale_and_embed(own.double(), lengths[row : row + 1], PLAIN)
        assert torch.equal(alone, together[row : row + 1])


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_rounding_is_no_worse_than_pytorchs(pooling):
    """Where principal components subtract large means, as at the beginning of a fit."""
    walks = np.random.default_rng(0).normal(size=(100, 150, 1)).cumsum(axis=1)
    model = LSTMAutoencoder(64, pooling=pooling, max_iter=0, random_state=0).fit(walks)
    from seqfeat.inference.fitted import fitted_backend, fitted_scaling

    ours = fitted_backend(model)
    scaled = torch.from_numpy(fitted_scaling(model).apply(as_series(walks), np.arange(100)))
    lengths = torch.full((100,), 150)
    with torch.no_grad():
        theirs = TorchBackend(ours.network, CPU).embed(scaled, lengths)
        exact = copy.deepcopy(ours.network).double().encode(scaled.double(), lengths)
    error = (ours.embed(scaled, lengths) - exact).abs().max()
    assert error <= 2 * (theirs - exact).abs().max()


# Scaling


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_series_are_scaled_as_by_numpy(lanes, dtype):
    backend = compiled(frozen_network())
    values = (1000 * np.random.default_rng(0).normal(size=(9, 12, 2)) + 5e6).astype(dtype)
    series, lengths = as_series(values), torch.full((9,), 12)
    scaling = channel_scaling(series)
    found, largest = backend.scale_and_embed(
        torch.from_numpy(values.astype(np.float64)),
        lengths,
        torch.from_numpy(scaling.mean_and_scale),
    )
    scaled = torch.from_numpy(scaling.apply(series, np.arange(9)))
    assert torch.equal(found, backend.embed(scaled, lengths))
    assert largest == scaled.abs().max().item()


def test_a_value_that_was_not_observed_counts_as_the_mean():
    backend, (values, lengths) = compiled(frozen_network()), make_values()
    observed = torch.rand(values.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    gaps = torch.where(observed, values, torch.nan).double()
    found, _ = backend.scale_and_embed(gaps, lengths, PLAIN)
    assert torch.equal(found, backend.embed(values * observed, lengths))


@pytest.mark.parametrize("value", [1e15, -1e15, 3e38, -1e300])
def test_the_largest_magnitude_is_that_of_the_batch(lanes, value):
    backend, (values, lengths) = compiled(frozen_network()), make_values()
    values = values.double()
    expected, usual = backend.scale_and_embed(values, lengths, PLAIN)
    broken = values.clone()
    broken[3, 0, 1] = value
    largest = backend.scale_and_embed(broken, lengths, PLAIN)[1]
    assert largest == (np.inf if abs(value) > 3.5e38 else np.float32(abs(value)))
    found, again = backend.scale_and_embed(values, lengths, PLAIN)
    assert torch.equal(found, expected)
    assert again == usual < 10


# Weights, memory and threads


def test_weights_in_training_are_looked_at_each_time():
    network, batch = make_network(pooling="statistics"), make_values()
    backend = compiled(network)
    before = backend.embed(*batch)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.5)
        found = backend.embed(*batch)
        assert not torch.equal(found, before)
        torch.testing.assert_close(found, network.encode(*batch), rtol=1e-5, atol=1e-6)


def test_frozen_weights_are_not_looked_at_again():
    network, batch = frozen_network(), make_values()
    backend = compiled(network)
    before = backend.embed(*batch)
    next(network.parameters()).zero_()
    assert torch.equal(backend.embed(*batch), before)
    assert not torch.equal(compiled(network).embed(*batch), before)


def test_a_network_made_in_inference_mode_runs():
    with torch.inference_mode():
        network, batch = frozen_network(), make_values()
        backend = make_backend(network, CPU)
        assert backend.is_compiled
        expected = network.encode(*batch)
        torch.testing.assert_close(backend.embed(*batch), expected, rtol=1e-5, atol=1e-6)


def test_two_threads_embed_at_the_same_time(monkeypatch):
    program = embedder_module.EmbeddingProgram
    both, embed = threading.Barrier(2, timeout=30), program.embed

    def embed_with_another(*arguments):
        both.wait()  # breaks unless two programs are at work
        return embed(*arguments)

    monkeypatch.setattr(program, "embed", embed_with_another)
    backend = compiled(frozen_network())
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda seed: backend.embed(*make_values(seed=seed)), (1, 2)))
    assert [len(embeddings) for embeddings in found] == [9, 9]


def test_many_threads_at_once():
    network = frozen_network(hidden_dim=32)
    batches = [make_values(20, 10 + seed % 3, seed) for seed in range(24)]
    expected = [compiled(network).embed(*batch) for batch in batches]
    # A cold cache: the first calls pack the weights and write the programs.
    backend = compiled(network)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda batch: backend.embed(*batch), batches))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert len(embedder_of(backend).idle) <= 8


def test_results_are_not_overwritten_by_the_next_batch():
    backend = compiled(frozen_network())
    first = backend.embed(*make_values(seed=1))
    series = backend.decode(first, 12)
    kept = first.clone(), series.clone()
    backend.decode(backend.embed(*make_values(seed=2)), 12)
    assert torch.equal(first, kept[0])
    assert torch.equal(series, kept[1])


def test_no_program_keeps_what_it_has_read():
    backend, (values, lengths) = compiled(frozen_network()), make_values()
    values = values.double()
    backend.scale_and_embed(values, lengths, PLAIN)
    alive = weakref.ref(values)
    del values
    assert alive() is None


def test_a_large_storage_is_given_back(monkeypatch):
    backend = compiled(frozen_network())
    backend.embed(*make_values(3))
    assert len(embedder_of(backend).idle) == 1
    monkeypatch.setattr(embedder_module, "MAX_FLOATS_KEPT", 10_000)
    backend.embed(*make_values(300))
    assert embedder_of(backend).idle == []


@pytest.mark.parametrize(
    ("values", "lengths"),
    [
        (numbers(3, 5, 1), torch.full((3,), 5)),
        (numbers(3, 5, 2), torch.full((2,), 5)),
        (numbers(3, 5, 2), torch.full((3,), 5, dtype=torch.int32)),
        (numbers(3, 5, 2).double(), torch.full((3,), 5)),
        (numbers(3, 5, 2, dtype=torch.float32).to("meta"), torch.full((3,), 5)),
    ],
    ids=["channels", "number", "int32", "float64", "device"],
)
def test_what_does_not_fit_the_network_is_refused(values, lengths):
    with pytest.raises(TypeError):
        compiled(frozen_network()).embed(values, lengths)
