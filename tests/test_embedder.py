"""Embedding by programs of the kernels, against the network itself."""

import copy
import mmap
import os
import pickle
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from seqfeat import LSTMAutoencoder
from seqfeat.exceptions import InputError
from seqfeat.inference import batched as inference
from seqfeat.nn import lstm as layer
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels import compiled_embedder, embedder
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling, identity_scaling

pytestmark = pytest.mark.usefixtures("one_thread")


def make_network(**architecture):
    sizes = {"n_channels": 2, "embedding_dim": 7, "hidden_dim": 10, "pooling": "statistics"}
    network = RecurrentAutoencoder(Architecture(**{**sizes, **architecture}))
    initialize(network, torch.Generator().manual_seed(0))
    return network.eval().requires_grad_(False)


def make_values(n_series=9, n_timesteps=31, seed=1):
    source = torch.Generator().manual_seed(seed)
    values = torch.randn((n_series, n_timesteps, 2), generator=source)
    lengths = torch.randint(1, n_timesteps + 1, (n_series,), generator=source)
    lengths[0] = n_timesteps
    inside = (torch.arange(n_timesteps) < lengths[:, None])[:, :, None]
    return values * inside, lengths


def embed(network, values, lengths, mean=(0.0, 0.0), scale=(1.0, 1.0)):
    scaling = torch.from_numpy(np.array([mean, scale]))
    return compiled_embedder(network).embed(values.double().contiguous(), lengths, scaling)


@pytest.mark.parametrize("pooling", ["last", "statistics"])
@pytest.mark.parametrize("widths", [{}, {"embedding_dim": 16, "hidden_dim": 32}])
@pytest.mark.parametrize("windows", [{}, {"patch_len": 3, "window_len": 6, "window_stride": 2}])
def test_embeddings_are_those_of_the_network(lanes, pooling, widths, windows):
    network = make_network(pooling=pooling, **widths, **windows)
    for n_timesteps in (31, 5, 60, 31):
        values, lengths = make_values(n_timesteps=n_timesteps, seed=n_timesteps)
        found = embed(network, values, lengths)
        torch.testing.assert_close(found, network.encode(values, lengths), rtol=1e-5, atol=1e-6)


def test_a_series_has_the_same_bits_in_any_batch(lanes):
    network, (values, lengths) = make_network(), make_values(37)
    together = embed(network, values, lengths)
    for n_series in (1, 2, 5, 36):
        first = embed(network, values[:n_series], lengths[:n_series])
        assert torch.equal(first, together[:n_series])
    assert torch.equal(embed(network, values.flip(0), lengths.flip(0)).flip(0), together)
    for row in range(37):
        # Alone, and without the padding.
        own = values[row : row + 1, : lengths[row]]
        assert torch.equal(embed(network, own, lengths[row : row + 1]), together[row : row + 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_series_are_scaled_as_numpy_does(lanes, dtype):
    network = make_network()
    values = (1000 * np.random.default_rng(0).normal(size=(9, 12, 2)) + 5e6).astype(dtype)
    series, lengths = as_series(values), torch.full((9,), 12)
    scaling = channel_scaling(series)
    found = embed(network, torch.from_numpy(values), lengths, scaling.mean, scaling.scale)
    scaled = torch.from_numpy(scaling.apply(series, np.arange(9)))
    assert torch.equal(found, embed(network, scaled, lengths))


def test_what_was_not_observed_counts_as_the_mean():
    network, (values, lengths) = make_network(), make_values()
    observed = torch.rand(values.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    found = embed(network, torch.where(observed, values, torch.nan), lengths)
    assert torch.equal(found, embed(network, values * observed, lengths))


@pytest.mark.parametrize("value", [1e15, -1e15, 3e38, -1e300])
def test_values_beyond_float32_are_told_of(lanes, value):
    network, (values, lengths) = make_network(), make_values()
    values = values.double()
    expected = embed(network, values, lengths)
    broken = values.clone()
    broken[3, 0, 1] = value
    assert embed(network, broken, lengths) is None
    assert torch.equal(embed(network, values, lengths), expected)


def test_transform_names_the_series_that_is_out_of_range():
    X = np.random.default_rng(0).normal(size=(9, 12, 2))
    model = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(X)
    X[7, 3, 1] = 1e300
    with pytest.raises(InputError, match=r"series 7 .* 1e\+300 at timestep 3, channel 1"):
        model.transform(X)


def test_rounding_is_no_worse_than_pytorchs(monkeypatch):
    """Where principal components take large means off, as at the beginning of a fit."""
    walks = np.random.default_rng(0).normal(size=(100, 150, 1)).cumsum(axis=1)
    model = LSTMAutoencoder(64, max_iter=0, random_state=0).fit(walks)
    found = model.transform(walks)
    monkeypatch.setattr("seqfeat.inference.compiled_embedder", lambda network: None)
    kernels = model.transform(walks)
    monkeypatch.setattr(layer, "_kernels", lambda: None)
    pytorch = model.transform(walks)
    assert np.abs(found - pytorch).max() <= 2 * np.abs(kernels - pytorch).max()


def test_many_threads_at_once():
    network = make_network(hidden_dim=32)
    batches = [make_values(20, 10 + seed % 3, seed) for seed in range(24)]
    expected = [embed(network, *batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda batch: embed(network, *batch), batches))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert len(network.embedder.idle) <= 8


def test_results_are_not_overwritten_by_the_next_batch():
    network = make_network()
    first = embed(network, *make_values(seed=1))
    kept = first.clone()
    embed(network, *make_values(seed=2))
    assert torch.equal(first, kept)


@pytest.mark.parametrize("is_moved", [False, True])
def test_weights_that_changed_count_at_once(is_moved):
    network, batch = make_network(), make_values()
    before = embed(network, *batch)
    for weight in network.parameters():
        if is_moved:
            weight.data = 0.5 * weight.data
        else:
            weight.mul_(0.5)
    found = embed(network, *batch)
    assert not torch.equal(found, before)
    torch.testing.assert_close(found, network.encode(*batch), rtol=1e-5, atol=1e-6)


def test_weights_of_a_settled_network_are_not_looked_at_again():
    network, batch = make_network(), make_values()
    network.freeze()
    before, embedder = embed(network, *batch), network.embedder
    assert compiled_embedder(network) is embedder
    weight = next(network.parameters())
    weight.zero_()
    assert torch.equal(embed(network, *batch), before)
    other = copy.deepcopy(network)
    assert not torch.equal(embed(other, *batch), before)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))]
)
def test_a_copy_embeds_by_itself(copied):
    network, batch = make_network(), make_values()
    before = embed(network, *batch)
    other = copied(network)
    for weight in other.parameters():
        weight.zero_()
    assert torch.equal(embed(network, *batch), before)
    assert not torch.equal(embed(other, *batch), before)


def test_no_program_keeps_what_it_has_read():
    network, (values, lengths) = make_network(), make_values()
    values = values.double()
    embed(network, values, lengths)
    alive = weakref.ref(values)
    del values
    assert alive() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_storage_of_its_own():
    program = """
import os
from seqfeat.compiled.desk import storage_of
storage = storage_of(1000)
storage.fill_(1.0)
child = os.fork()
if not child:
    storage.fill_(2.0)
    os._exit(int(storage[0]))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
print(float(storage[0]))
"""
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"1.0\n"


def test_without_memory_for_a_batch_it_is_halved(monkeypatch):
    rows, pages = [], mmap.mmap

    def little(number, n_bytes, **options):
        if n_bytes > 400_000:
            raise OSError(12, "Cannot allocate memory")
        return pages(number, n_bytes, **options)

    network, series = make_network(), as_series(np.ones((64, 31, 2)))
    expected = np.concatenate([batch for _, batch in embed_series(network, series)])
    network = make_network()
    monkeypatch.setattr(mmap, "mmap", little)
    for batch, found in embed_series(network, series):
        assert np.array_equal(found, expected[batch])
        rows += list(batch)
    assert len(batch) < 64
    assert sorted(rows) == list(range(64))


def embed_series(network, series):
    return inference.embed(network, series, identity_scaling(2), torch.device("cpu"))


def test_much_memory_is_given_back(monkeypatch):
    network = make_network()
    embed(network, *make_values(3))
    assert len(network.embedder.idle) == 1
    monkeypatch.setattr(embedder, "MOST_FLOATS_KEPT", 10_000)
    embed(network, *make_values(300))
    assert network.embedder.idle == []


@pytest.mark.parametrize("architecture", [{"bidirectional": True}, {"pooling": "mean"}])
def test_the_rest_is_left_to_pytorch(architecture):
    assert compiled_embedder(make_network(**architecture)) is None


def test_transform_is_the_same_with_and_without(monkeypatch):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(length, 2)).cumsum(axis=0) for length in rng.integers(3, 40, 50)]
    model = LSTMAutoencoder(8, max_iter=2, random_state=0).fit(series)
    found = model.transform(series)
    assert np.array_equal(np.vstack([model.transform([one]) for one in series]), found)
    monkeypatch.setattr("seqfeat.inference.compiled_embedder", lambda network: None)
    np.testing.assert_allclose(model.transform(series), found, rtol=1e-5, atol=1e-5)
