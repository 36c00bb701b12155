"""Initial weights that are fitted to the series, against principal components and the like."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from seqfeat import LSTMAutoencoder
from seqfeat.nn import initialization
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import fit_encoder, initialize
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.training.fit import split_rows
from seqfeat.training.plan import plan_fit

EMBEDDING_DIM = 6
ARCHITECTURE = Architecture(
    2, EMBEDDING_DIM, 12, pooling="statistics", window_len=5, window_stride=2, bidirectional=True
)


def walks(n_series, n_timesteps=40, seed=0):
    steps = np.random.default_rng(seed).normal(size=(n_series, n_timesteps, 2))
    scaled = steps.cumsum(axis=1)
    return (scaled - scaled.mean((0, 1))) / scaled.std((0, 1))


def training_set(values, lengths=None):
    values = torch.tensor(values, dtype=torch.float32)
    lengths = torch.full((len(values),), values.shape[1]) if lengths is None else lengths
    return Batch(values * (torch.arange(values.shape[1]) < lengths[:, None])[..., None], lengths)


def fitted(data, seed=0, architecture=ARCHITECTURE):
    generator = torch.Generator().manual_seed(seed)
    network = RecurrentAutoencoder(architecture).requires_grad_(False)
    initialize(network, generator)
    fit_encoder(network, data, generator)
    return network


def statistics_of(network, data):
    inputs = network.encoder_inputs(data.values, data.lengths)
    return network.encoder.summarize(*inputs).double().numpy()


def embeddings_of(network, data):
    return network.encode(data.values, data.lengths).double().numpy()


def test_the_embedding_begins_as_the_principal_components_of_the_statistics():
    data = training_set(walks(50))
    network = fitted(data)
    expected = PCA(EMBEDDING_DIM).fit_transform(statistics_of(network, data))
    expected /= np.sqrt((expected**2).mean())
    # A rotation keeps the distances and nothing else.
    np.testing.assert_allclose(
        pairwise_distances(embeddings_of(network, data)), pairwise_distances(expected), atol=1e-3
    )


def test_features_begin_centred_with_like_spreads():
    Z = embeddings_of(network := fitted(training_set(walks(200))), training_set(walks(200)))
    assert network.encoder.projection.bias is not None
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose((Z**2).mean(), 1, rtol=1e-3)
    assert Z.std(axis=0).min() > 0.1


def test_gates_see_fast_movements_as_well_as_slow_ones():
    """Drawn alike for each timestep, weights see little of a slow series but its level."""
    data = training_set(walks(100, n_timesteps=200))
    network = fitted(data)
    inputs, _ = network.encoder_inputs(data.values, data.lengths)
    own = inputs.reshape(-1, 5, 2).double().numpy()
    slow, fast = own.mean(axis=1), np.diff(own, axis=1).mean(axis=1)
    weights = network.encoder.forward_layers[0].weight_ih_l0.double().numpy().reshape(-1, 5, 2)
    drawn = RecurrentAutoencoder(ARCHITECTURE).requires_grad_(False)
    initialize(drawn, torch.Generator().manual_seed(0))
    plain = drawn.encoder.forward_layers[0].weight_ih_l0.double().numpy().reshape(-1, 5, 2)
    assert fast.std() < 0.1 * slow.std()

    def share_of_level(weights):
        gates = np.einsum("nwc,gwc->ng", own, weights)
        level = np.einsum("nwc,gwc->ng", np.broadcast_to(slow[:, None], own.shape), weights)
        return level.var() / gates.var()

    assert 1 - share_of_level(weights) > 5 * (1 - share_of_level(plain))


@pytest.mark.parametrize("n_series", [1, 2, 5])
def test_fewer_series_than_dimensions_are_kept_apart(n_series):
    data = training_set(walks(n_series))
    network = fitted(data)
    other = training_set(walks(20, seed=1))
    Z = embeddings_of(network, other)
    assert np.isfinite(Z).all()
    # Directions that no training series showed are still looked at.
    assert np.linalg.matrix_rank(Z - Z.mean(axis=0)) == EMBEDDING_DIM
    before = pairwise_distances(statistics_of(network, data))
    after = pairwise_distances(embeddings_of(network, data))
    if n_series > 1:
        apart = before > 0
        ratios = after[apart] / before[apart]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-3)


def test_series_that_do_not_vary_leave_finite_weights():
    network = fitted(training_set(np.zeros((5, 40, 2))))
    assert all(weight.isfinite().all() for weight in network.parameters())


def test_padding_does_not_matter():
    lengths = torch.tensor([40, 7, 23, 1, 12] * 4)
    short = training_set(walks(20), lengths)
    padded = torch.nn.functional.pad(short.values, (0, 0, 0, 30))
    for one, other in zip(
        fitted(short).parameters(),
        fitted(Batch(padded, lengths)).parameters(),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_long_series_come_in_smaller_batches_with_the_same_result(monkeypatch):
    data = training_set(walks(30))
    whole = fitted(data)
    monkeypatch.setattr(initialization, "BATCH_VALUES", 1000)
    for one, other in zip(whole.parameters(), fitted(data).parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_nothing_but_the_encoders_ends_is_fitted():
    generator = torch.Generator().manual_seed(0)
    drawn = RecurrentAutoencoder(ARCHITECTURE).requires_grad_(False)
    initialize(drawn, generator)
    network = fitted(training_set(walks(30)))
    changed = {
        name
        for (name, one), other in zip(network.named_parameters(), drawn.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert changed == {
        "encoder.forward_layers.0.weight_ih_l0",
        "encoder.backward_layers.0.weight_ih_l0",
        "encoder.projection.weight",
        "encoder.projection.bias",
    }


def test_an_untrained_encoder_has_seen_its_series():
    X = walks(30)
    some = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(X)
    others = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(walks(30, seed=1))
    name = "encoder.projection.weight"
    assert not np.array_equal(some.weights_[name], others.weights_[name])
    plain = [
        LSTMAutoencoder(4, max_iter=0, pooling="last", random_state=0).fit(series)
        for series in (X, walks(30, seed=1))
    ]
    for key, weight in plain[0].weights_.items():
        assert np.array_equal(weight, plain[1].weights_[key])


def test_held_out_series_are_not_looked_at():
    X = walks(20)
    held_out = LSTMAutoencoder(
        4, max_iter=0, early_stopping=True, validation_fraction=0.5, random_state=0, scale=None
    )
    first = held_out.fit(X).weights_
    _, hidden = split_rows(plan_fit(held_out, X, None)[0])
    X[hidden] *= -3
    second = held_out.fit(X).weights_
    for name, weight in first.items():
        assert np.array_equal(weight, second[name])
