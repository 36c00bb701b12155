"""The default encoder against formulas, series by series."""

import numpy as np
import pytest
import torch

from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, build_network, trained_weight_names
from seqfeat.nn.pooling import MIN_VARIANCE
from seqfeat.nn.reservoir import (
    THRESHOLD_WIDTH,
    first_steps,
    pool_reservoir,
    standardize_series,
    window_lens,
)

SIZES = {"n_channels": 2, "embedding_dim": 5, "hidden_dim": 4, "pooling": "reservoir"}


def make_network(**architecture):
    steps = {"patch_len": 3, "window_len": 4, "window_stride": 2, "n_linear_steps": 11}
    network = build_network(Architecture(**{**SIZES, **steps, **architecture}))
    initialize(network, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.encoder.thresholds, std=0.1)
    return network


def make_series(lengths=(13, 1, 7, 13, 2)):
    rng = np.random.default_rng(0)
    values = torch.zeros(len(lengths), max(lengths), 2)
    for row, length in enumerate(lengths):
        values[row, :length] = torch.from_numpy(rng.normal(row, 1 + row, (length, 2)))
    return values, torch.tensor(lengths)


def test_a_series_is_standardized_over_its_own_steps():
    values, lengths = make_series()
    scaled = standardize_series(values, lengths)
    assert scaled.dtype is torch.float32
    for one, found, length in zip(values.numpy(), scaled.numpy(), lengths, strict=True):
        own = one[:length].astype(float)
        std = own.std(axis=0)
        expected = (own - own.mean(axis=0)) / np.where(std > 0, std, 1)
        np.testing.assert_allclose(found[:length], expected, atol=1e-6)
        assert not found[length:].any()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_rounding_of_a_constant_is_not_magnified(offset):
    values = torch.full((1, 50, 1), offset) + torch.tensor([0.0, 1e-3]).repeat(25)[None, :, None]
    spread = float(standardize_series(values, torch.tensor([50])).abs().max())
    assert spread == pytest.approx(1.0 if offset == 0 else 0.0, abs=0.1)


def test_the_first_steps_are_cut_or_filled_with_zeros():
    values = torch.arange(12.0).view(1, 6, 2)
    assert first_steps(values, 2).tolist() == [[0, 1, 2, 3]]
    assert first_steps(values, 7)[0].tolist() == [*range(12), 0, 0]


def test_windows_have_three_lengths():
    assert window_lens(16, 1) == (9, 16, 32)
    assert window_lens(16, 12) == (12, 16, 32), "no step is skipped"
    assert window_lens(1, 1) == (1, 1, 2)


def test_the_statistics_are_those_of_the_formulas():
    rng = np.random.default_rng(0)
    states, thresholds = rng.uniform(-1, 1, (3, 20, 4)), rng.uniform(-0.5, 0.5, 4)
    states[0, :5] = 0.9  # a stretch that is well above
    n_steps = [20, 1, 13]
    found = pool_reservoir(
        torch.from_numpy(states), torch.tensor(n_steps), torch.from_numpy(thresholds)
    )
    for row, n in enumerate(n_steps):
        own = states[row, :n]
        above = np.clip((own - thresholds) / THRESHOLD_WIDTH + 0.5, 0, 1)
        stretch, longest = np.zeros(4), np.zeros(4)
        for step in above:
            stretch = (stretch + 1) * step
            longest = np.maximum(longest, stretch)
        expected = [
            own.mean(axis=0),
            np.sqrt(own.var(axis=0) + MIN_VARIANCE),
            own.max(axis=0),
            own.min(axis=0),
            above.mean(axis=0),
            longest / n,
        ]
        np.testing.assert_allclose(found[row], np.concatenate(expected), atol=1e-6)


def test_far_from_the_threshold_shares_and_stretches_are_counts():
    above = torch.tensor([1.0, 1, 0, 1, 1, 1, 0, 0])
    states = torch.where(above > 0, 0.8, -0.8).view(1, 8, 1)
    found = pool_reservoir(states, torch.tensor([8]), torch.zeros(1))[0]
    assert found[4:].tolist() == [5 / 8, 3 / 8]


@pytest.mark.parametrize("keeps_statistics", [False, True])
def test_one_series_one_vector_whatever_its_batch(keeps_statistics):
    network = make_network(keeps_statistics=keeps_statistics)
    values, lengths = make_series()
    with torch.no_grad():
        together = network.encode(values, lengths)
        assert together.shape == (5, network.architecture.n_features)
        for row, length in enumerate(lengths):
            own = values[row : row + 1, :length]
            alone = network.encode(own, lengths[row : row + 1])
            torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-5)


def test_kept_statistics_follow_the_embedding_and_are_not_decoded():
    network = make_network(keeps_statistics=True)
    values, lengths = make_series()
    with torch.no_grad():
        features = network.encode(values, lengths)
        statistics = network.summarize(values, lengths)[:, : network.architecture.n_statistics]
        assert torch.equal(features[:, 5:], statistics)
        assert torch.equal(network.decode(features, 9), network.decode(features[:, :5], 9))


def test_a_reconstruction_is_that_of_the_linear_map_plus_that_of_the_layers():
    network = make_network()
    embeddings = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        linear = network.decoder.linear(embeddings).view(3, 11, 2)
        for n_timesteps in (4, 11, 17):
            found = network.decode(embeddings, n_timesteps)
            found = found - network.decode_recurrently(embeddings, n_timesteps)
            expected = torch.zeros(3, n_timesteps, 2)
            expected[:, :11] = linear[:, :n_timesteps]
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_only_the_layers_of_the_decoder_are_trained():
    network = make_network()
    trained = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert trained == trained_weight_names(network.architecture, network.state_dict())
    assert {name.split(".")[0] for name in trained} == {"decoder"}
    assert not any("linear" in name for name in trained)


def test_statistics_need_a_reservoir():
    with pytest.raises(ValueError, match="keeps_statistics=True with pooling='mean'"):
        Architecture(2, 4, 8, pooling="mean", keeps_statistics=True)
