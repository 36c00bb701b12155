"""Initial weights: random ones by their properties, fitted ones against principal components."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from torch import nn

from seqfeat import LSTMAutoencoder
from seqfeat.nn import initialization
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import fit_encoder, initialize
from seqfeat.nn.network import Architecture, build_network
from tests.nn.kernels.arrays import generator
from tests.training.examples import compiled_backend, torch_backend

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(architecture, seed=0):
    """Return a network with random weights."""
    network = build_network(architecture).requires_grad_(False)
    initialize(network, generator(seed))
    return network


# Random weights

EVERY_LAYER = Architecture(3, 4, 6, patch_len=2, bidirectional=True, n_time_features=3, n_classes=5)


def test_recurrent_matrices_are_orthogonal_gate_by_gate():
    weights = drawn(EVERY_LAYER).state_dict()
    recurrent = [value for name, value in weights.items() if "weight_hh" in name]
    assert len(recurrent) == 6
    for matrix in recurrent:
        for gate in matrix.chunk(4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(len(gate)), rtol=0, atol=1e-5)


def test_biases_are_0_but_those_of_forget_gates_1():
    network = drawn(EVERY_LAYER)
    lstms = [module for module in network.modules() if isinstance(module, nn.LSTM)]
    assert len(lstms) == 6
    for lstm in lstms:
        both = lstm.bias_ih_l0 + lstm.bias_hh_l0
        expected = torch.zeros(4, lstm.hidden_size)
        expected[1] = 1.0  # torch's order of gates: input, forget, cell, output
        assert torch.equal(both, expected.flatten())
    assert (network.decoder.output.bias == 0).all()
    assert (network.head.bias == 0).all()


def test_other_matrices_are_glorot_uniform():
    for name, value in drawn(EVERY_LAYER).state_dict().items():
        if "weight" in name and "weight_hh" not in name:
            bound = (6 / sum(value.shape)) ** 0.5
            assert 0.8 * bound < value.abs().max() <= bound


def test_the_generator_decides_all_weights():
    first, second = (drawn(EVERY_LAYER, seed=1).state_dict() for _ in range(2))
    other = drawn(EVERY_LAYER, seed=2).state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert "weight" not in name or not torch.equal(value, other[name])


def test_drawing_weights_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    drawn(EVERY_LAYER)
    assert torch.equal(torch.get_rng_state(), before)


# Weights that are fitted to data

EMBEDDING_DIM = 6
FITTED_WEIGHTS = {
    "encoder.forward_layers.0.weight_ih_l0",
    "encoder.projection.weight",
    "encoder.projection.bias",
}
ARCHITECTURE = Architecture(
    2, EMBEDDING_DIM, 12, pooling="statistics", window_len=5, window_stride=2, bidirectional=True
)


@pytest.fixture(params=["kernels", "torch"])
def fitted(request):
    """Return a function that draws weights and fits them to data, with either backend."""

    def fit(data, seed=0, architecture=ARCHITECTURE):
        network, source = build_network(architecture), generator(seed)
        make = compiled_backend if request.param == "kernels" else torch_backend
        backend = make(network)
        initialize(network, source)
        fit_encoder(backend, data, source)
        return network.requires_grad_(False)

    return fit


def walks(n_series, n_timesteps=40, seed=0):
    """Return random walks of two channels, scaled."""
    steps = np.random.default_rng(seed).normal(size=(n_series, n_timesteps, 2))
    scaled = steps.cumsum(axis=1)
    return (scaled - scaled.mean((0, 1))) / scaled.std((0, 1))


def make_batch(values, lengths=None):
    values = torch.tensor(values, dtype=torch.float32)
    lengths = torch.full((len(values),), values.shape[1]) if lengths is None else lengths
    return Batch(values * (torch.arange(values.shape[1]) < lengths[:, None])[..., None], lengths)


def statistics_of(network, data):
    inputs = network.encoder_inputs(data.values, data.lengths)
    return network.encoder.summarize(*inputs).double().numpy()


def embeddings_of(network, data):
    return network.encode(data.values, data.lengths).double().numpy()


def test_the_embedding_starts_as_the_principal_components_of_the_statistics(fitted):
    data = make_batch(walks(50))
    network = fitted(data)
    expected = PCA(EMBEDDING_DIM).fit_transform(statistics_of(network, data))
    expected /= np.sqrt((expected**2).mean())
    # A rotation keeps the distances and nothing else.
    np.testing.assert_allclose(
        pairwise_distances(embeddings_of(network, data)), pairwise_distances(expected), atol=1e-3
    )


def test_embeddings_start_centred_with_similar_variances(fitted):
    data = make_batch(walks(200))
    Z = embeddings_of(fitted(data), data)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose((Z**2).mean(), 1, rtol=1e-3)
    assert Z.std(axis=0).min() > 0.1


def test_gates_see_fast_movements_as_well_as_slow_ones(fitted):
    """Independent random weights respond to little of a slow series but its level."""
    data = make_batch(walks(100, n_timesteps=200))
    network = fitted(data)
    inputs, _ = network.encoder_inputs(data.values, data.lengths)
    own = inputs.reshape(-1, 5, 2).double().numpy()
    slow, fast = own.mean(axis=1), np.diff(own, axis=1).mean(axis=1)
    weights = network.encoder.forward_layers[0].weight_ih_l0.double().numpy().reshape(-1, 5, 2)
    plain = drawn(ARCHITECTURE).encoder.forward_layers[0].weight_ih_l0.double().numpy()
    plain = plain.reshape(-1, 5, 2)
    assert fast.std() < 0.1 * slow.std()

    def share_of_level(weights):
        gates = np.einsum("nwc,gwc->ng", own, weights)
        level = np.einsum("nwc,gwc->ng", np.broadcast_to(slow[:, None], own.shape), weights)
        return level.var() / gates.var()

    assert 1 - share_of_level(weights) > 5 * (1 - share_of_level(plain))


@pytest.mark.parametrize("n_series", [1, 2, 5])
def test_fewer_series_than_dimensions_stay_distinct(fitted, n_series):
    data = make_batch(walks(n_series))
    network = fitted(data)
    other = make_batch(walks(20, seed=1))
    Z = embeddings_of(network, other)
    assert np.isfinite(Z).all()
    # The embedding also sees directions in which no training series differ.
    assert np.linalg.matrix_rank(Z - Z.mean(axis=0)) == EMBEDDING_DIM
    before = pairwise_distances(statistics_of(network, data))
    after = pairwise_distances(embeddings_of(network, data))
    if n_series > 1:
        apart = before > 0
        ratios = after[apart] / before[apart]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-3)


def test_constant_series_give_finite_weights(fitted):
    network = fitted(make_batch(np.zeros((5, 40, 2))))
    assert all(weight.isfinite().all() for weight in network.parameters())


def test_padding_does_not_matter(fitted):
    lengths = torch.tensor([40, 7, 23, 1, 12] * 4)
    short = make_batch(walks(20), lengths)
    padded = torch.nn.functional.pad(short.values, (0, 0, 0, 30))
    networks = fitted(short), fitted(Batch(padded, lengths))
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(one, other)


def test_smaller_batches_of_long_series_give_the_same_weights(fitted, monkeypatch):
    data = make_batch(walks(30))
    whole = fitted(data)
    monkeypatch.setattr(initialization, "BATCH_VALUES", 1000)
    for one, other in zip(whole.parameters(), fitted(data).parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_only_input_weights_and_projection_are_fitted(fitted):
    network, plain = fitted(make_batch(walks(30))), drawn(ARCHITECTURE)
    changed = {
        name
        for (name, one), other in zip(network.named_parameters(), plain.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert changed == {*FITTED_WEIGHTS, "encoder.backward_layers.0.weight_ih_l0"}


def test_an_encoder_without_a_projection_cannot_be_fitted():
    backend = torch_backend(drawn(Architecture(2, 4, 8, pooling="last")))
    with pytest.raises(TypeError, match="pooling='last'"):
        fit_encoder(backend, make_batch(walks(5)), generator())


# In a fit


@pytest.mark.parametrize("pooling", ["statistics", "last"])
def test_only_statistics_pooling_starts_from_the_data(pooling):
    some, others = (
        LSTMAutoencoder(4, pooling=pooling, max_iter=0, random_state=0).fit(walks(30, seed=seed))
        for seed in (0, 1)
    )
    differ = {
        name
        for name, weight in some.weights_.items()
        if not np.array_equal(weight, others.weights_[name])
    }
    assert differ == (FITTED_WEIGHTS if pooling == "statistics" else set())


@pytest.mark.parametrize(("pooling", "n_changed"), [("statistics", 10), ("reservoir", 20)])
def test_held_out_series_have_no_influence_on_what_is_trained(pooling, n_changed):
    """A reservoir is fitted to all series; those held out judge the training alone."""
    X = walks(20)
    params = {"early_stopping": True, "validation_fraction": 0.5, "random_state": 0, "scale": None}
    model = LSTMAutoencoder(4, pooling=pooling, max_iter=0, **params)
    expected = model.fit(X).weights_
    changed = []
    for row in range(len(X)):
        other = X.copy()
        other[row] *= -3
        weights = model.fit(other).weights_
        changed.append(any(not np.array_equal(weights[name], expected[name]) for name in weights))
    assert sum(changed) == n_changed
