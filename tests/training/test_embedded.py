"""Training data of a decoder whose encoder is not trained."""

import numpy as np
import pytest
import torch

from seqfeat.inference import batched
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels import make_backend
from seqfeat.nn.network import Architecture, build_network
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training import sampler
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.embedded import EmbeddedDataset
from tests.autoencoders import ragged_waves


@pytest.fixture
def backend():
    a = Architecture(2, 3, 5, patch_len=2, pooling="reservoir", window_len=3, n_linear_steps=6)
    network = build_network(a)
    initialize(network, torch.Generator().manual_seed(0))
    return make_backend(network, torch.device("cpu"))


@pytest.fixture
def data():
    series = as_series(ragged_waves(20))
    return Dataset(series, channel_scaling(series), Shard.whole(series), np.arange(20) % 3)


def every_row(data):
    return torch.arange(len(data))


def test_batches_hold_embeddings_and_what_the_linear_map_leaves(backend, data):
    plain = data.subset(np.arange(20)).load(every_row(data)).series
    found = EmbeddedDataset(data, backend).load(every_row(data)).series
    expected = backend.embed(plain.values, plain.lengths)
    torch.testing.assert_close(found.embeddings, expected, rtol=0, atol=0)
    with torch.no_grad():
        linear = backend.network.decode_linearly(expected, plain.values.shape[1])
    torch.testing.assert_close(found.values + linear, plain.values)
    for name in ("lengths", "observed", "targets"):
        assert torch.equal(getattr(found, name), getattr(plain, name))


def test_every_series_is_embedded_once(backend, data, monkeypatch):
    embedded = []
    original = batched.embed_scaled

    def counting(backend, series, rows):
        embedded.append(len(rows))
        return original(backend, series, rows)

    monkeypatch.setattr("seqfeat.training.embedded.embed_scaled", counting)
    known = torch.tensor([3, 7]), torch.ones(2, 3)
    one = EmbeddedDataset(data, backend, known)
    first, second = (one.load(every_row(data)).series for _ in range(2))
    assert embedded == [18]
    assert torch.equal(first.embeddings, second.embeddings)
    assert torch.equal(first.embeddings[[3, 7]], known[1])


def test_sets_of_several_chunks_are_the_same(backend, data, monkeypatch):
    whole = EmbeddedDataset(data, backend).load(every_row(data)).series
    monkeypatch.setattr(sampler, "CHUNK_BYTES", 4 * 16 * 6)
    many = EmbeddedDataset(data, backend)
    for _ in range(2):
        for rows in sampler.chunks_in_order(many):
            part, _ = many.load(rows).take(rows)
            assert len(rows) < len(data)
            assert torch.equal(part.embeddings, whole.embeddings[rows])
            n_timesteps = part.values.shape[1]
            assert torch.equal(part.values, whole.values[rows, :n_timesteps])


def test_a_subset_has_embeddings_of_its_own_rows(backend, data):
    whole = EmbeddedDataset(data, backend).load(every_row(data)).series
    chosen = np.array([1, 4, 11])
    known = torch.tensor([11, 2]), torch.tensor([[5.0, 6, 7], [0, 0, 0]])
    one = EmbeddedDataset(data.subset(chosen), backend, known).load(torch.arange(3)).series
    assert torch.equal(one.embeddings[:2], whole.embeddings[chosen[:2]])
    assert one.embeddings[2].tolist() == [5, 6, 7]
    part = EmbeddedDataset(data.subset(chosen), backend)
    assert torch.equal(part.load(torch.arange(3)).series.embeddings, whole.embeddings[chosen])
