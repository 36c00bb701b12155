"""Fitting a reservoir, against scikit-learn and SciPy."""

import numpy as np
import pytest
import torch
from scipy.fft import dct
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LinearRegression, Ridge

from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, build_network
from seqfeat.nn.reservoir_fit import (
    RIDGE_PENALTIES,
    ReservoirSettings,
    _cosine_transform,
    _explained_share,
    _inverse_cosine_transform,
    _regress,
    fit_reservoir,
)
from seqfeat.runtime.threads import WorkerPool

CPU = torch.device("cpu")


def smooth_series(n_series, n_timesteps=40, n_channels=2, seed=0):
    """Return random walks, scaled; their principal components are cosines, about."""
    rng = np.random.default_rng(seed)
    walks = rng.normal(size=(n_series, n_timesteps, n_channels)).cumsum(axis=1)
    return (walks / 4).astype(np.float32)


def batch_of(values, targets=None):
    lengths = torch.full((len(values),), values.shape[1])
    return Batch(torch.from_numpy(values), lengths, None, targets)


def fitted(values, embedding_dim=6, fraction=0.5, target_weight=0.0, targets=None, **architecture):
    a = Architecture(
        values.shape[2],
        embedding_dim,
        8,
        pooling="reservoir",
        patch_len=4,
        window_len=6,
        window_stride=1,
        n_linear_steps=values.shape[1],
        **architecture,
    )
    network = build_network(a)
    generator = torch.Generator().manual_seed(0)
    initialize(network, generator)
    settings = ReservoirSettings(fraction, target_weight)
    backend = TorchBackend(network, CPU)
    known = fit_reservoir(backend, batch_of(values, targets), settings, generator, WorkerPool(1))
    return network, known


def r_squared(network, values):
    batch = batch_of(values)
    with torch.no_grad():
        embeddings = network.encode(batch.values, batch.lengths)
        found = network.decode(embeddings, values.shape[1]).numpy()
    return 1 - ((found - values) ** 2).sum() / ((values - values.mean(axis=(0, 1))) ** 2).sum()


def pca_r_squared(values, unseen, n_components):
    pca = PCA(n_components).fit(values.reshape(len(values), -1))
    found = pca.inverse_transform(pca.transform(unseen.reshape(len(unseen), -1)))
    found = found.reshape(unseen.shape)
    return 1 - ((found - unseen) ** 2).sum() / ((unseen - unseen.mean(axis=(0, 1))) ** 2).sum()


@pytest.mark.parametrize("n_timesteps", [1, 2, 7, 16])
def test_the_cosine_transform_is_scipys_and_can_be_inverted(n_timesteps):
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(4, n_timesteps, 3)))
    found = _cosine_transform(values)
    np.testing.assert_allclose(found, dct(values.numpy(), axis=1, norm="ortho"), atol=1e-12)
    every = torch.arange(n_timesteps * 3)
    back = _inverse_cosine_transform(found.flatten(1), every, (n_timesteps, 3))
    np.testing.assert_allclose(back, values.flatten(1), atol=1e-12)


def test_the_share_between_classes_follows_from_scikit_learns_f_value():
    rng = np.random.default_rng(0)
    statistics, classes = rng.normal(size=(30, 5)), np.repeat([0, 1, 2], [5, 10, 15])
    statistics[:, 1] += classes
    indicators = torch.from_numpy(np.eye(3)[classes])
    found = _explained_share(torch.from_numpy(statistics), indicators, None)
    ratio = f_classif(statistics, classes)[0] * (3 - 1) / (30 - 3)
    np.testing.assert_allclose(found, ratio / (1 + ratio), rtol=1e-9)


@pytest.mark.parametrize(("classes", "share"), [([0] * 6, 0.0), ([0, 1, 2, 3, 4, 5], 1.0)])
def test_labels_that_say_nothing_weight_all_statistics_alike(classes, share):
    statistics = torch.randn(6, 3, dtype=torch.float64)
    found = _explained_share(statistics, torch.eye(6)[classes], None)
    np.testing.assert_allclose(found, share, atol=1e-12)


def test_numbers_explain_what_a_weighted_regression_on_them_does():
    rng = np.random.default_rng(0)
    statistics, numbers = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    statistics[:, 1] += numbers[:, 0] - numbers[:, 1]
    weights = rng.uniform(0.1, 3, size=40)
    found = _explained_share(*map(torch.from_numpy, (statistics, numbers, weights)))
    for share, statistic in zip(found, statistics.T, strict=True):
        regression = LinearRegression().fit(numbers, statistic, weights)
        assert float(share) == pytest.approx(regression.score(numbers, statistic, weights))


def test_the_regression_is_a_ridge_regression_with_one_of_the_penalties():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4)) * [3, 1, 1, 0.1]
    outputs = inputs @ rng.normal(size=(4, 7)) + rng.normal(size=(200, 7))
    found = _regress(torch.from_numpy(inputs), torch.from_numpy(outputs), 200).numpy()
    mean = np.linalg.eigvalsh(inputs.T @ inputs).mean()
    ridges = [Ridge(p * mean, fit_intercept=False).fit(inputs, outputs) for p in RIDGE_PENALTIES]
    assert min(np.abs(ridge.coef_ - found).max() for ridge in ridges) < 1e-9


def test_what_cannot_be_predicted_is_not():
    rng = np.random.default_rng(0)
    inputs, noise = rng.normal(size=(60, 20)), rng.normal(size=(60, 30))
    assert not _regress(torch.from_numpy(inputs), torch.from_numpy(noise), 60).any()
    few = _regress(torch.from_numpy(inputs[:30]), torch.from_numpy(inputs[:30] @ inputs[:20]), 30)
    assert not few.any(), "too few series for the number of components"


def test_with_many_series_and_nothing_but_shapes_it_is_pca():
    values, unseen = smooth_series(2000), smooth_series(500, seed=1)
    network, _ = fitted(values, embedding_dim=8, fraction=1.0)
    expected = pca_r_squared(values, unseen, 8)
    assert 0.8 < expected < 0.97
    assert r_squared(network, unseen) == pytest.approx(expected, abs=2e-3)


def test_with_few_series_it_is_ahead_of_pca_on_unseen_ones():
    values, unseen = smooth_series(12), smooth_series(500, seed=1)
    network, _ = fitted(values, embedding_dim=24, fraction=1.0)
    assert r_squared(network, unseen) > pca_r_squared(values, unseen, 11) + 0.05


def test_without_shapes_the_embedding_is_the_components_of_standardized_statistics():
    values = smooth_series(60)
    network, _ = fitted(values, embedding_dim=6, fraction=0.0)
    batch = batch_of(values)
    with torch.no_grad():
        statistics = network.summarize(batch.values, batch.lengths).double().numpy()
        found = network.encode(batch.values, batch.lengths).double().numpy()
    statistics = statistics[:, : network.architecture.n_statistics]
    std = statistics.std(axis=0)
    scaled = (statistics - statistics.mean(axis=0)) * np.where(std > 1e-3, 1 / std, 0)
    expected = PCA(6).fit_transform(scaled)
    # Up to the rotation and the scale.
    gram = expected @ expected.T
    np.testing.assert_allclose(
        found @ found.T / np.trace(found @ found.T) * np.trace(gram),
        gram,
        atol=2e-3 * np.abs(gram).max(),
    )
    assert np.sqrt((found**2).mean()) == pytest.approx(1.0, abs=1e-3)


def test_a_rotation_gives_every_dimension_about_the_same_variance():
    _, embeddings = fitted(smooth_series(200), embedding_dim=16)
    std = embeddings.std(dim=0)
    assert float(std.max() / std.min()) < 4


def test_labels_turn_the_embedding_towards_what_tells_classes_apart():
    values = smooth_series(80)
    targets = torch.arange(80) % 2
    # A short bump, which has next to no variance.
    values[targets == 1, 20:23] += 1.0
    ratios = []
    for weight in (0.0, 0.5, 0.9):
        _, embeddings = fitted(values, 4, 0.0, weight, targets)
        ratios.append(f_classif(embeddings.numpy(), targets.numpy())[0].max())
    assert ratios[0] < ratios[1] < ratios[2]


def test_the_decoder_begins_with_the_linear_map_alone():
    values = smooth_series(30)
    network, embeddings = fitted(values)
    with torch.no_grad():
        assert not network.decode_recurrently(embeddings, 40).any()


def test_the_embeddings_that_were_found_on_the_way_are_those_of_the_encoder():
    values = smooth_series(50)
    network, known = fitted(values)
    batch = batch_of(values)
    with torch.no_grad():
        expected = network.encode(batch.values, batch.lengths)
    torch.testing.assert_close(known, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [smooth_series(1), smooth_series(3, 1), 0 * smooth_series(9)])
def test_degenerate_series_give_finite_weights(values):
    network, _ = fitted(values, embedding_dim=7)
    for name, weight in network.state_dict().items():
        assert bool(weight.isfinite().all()), name


def test_kept_statistics_leave_all_dimensions_to_the_shapes():
    values, unseen = smooth_series(2000), smooth_series(300, seed=1)
    network, known = fitted(values, embedding_dim=8, fraction=0.2, keeps_statistics=True)
    assert len(known) == 0
    assert r_squared(network, unseen) == pytest.approx(pca_r_squared(values, unseen, 8), abs=2e-3)


def test_other_encoders_are_refused():
    network = build_network(Architecture(2, 4, 8, pooling="statistics"))
    initialize(network, torch.Generator().manual_seed(0))
    with pytest.raises(TypeError, match="no reservoir"):
        fit_reservoir(
            TorchBackend(network, CPU),
            batch_of(smooth_series(5)),
            ReservoirSettings(0.2, 0.0),
            torch.Generator(),
            WorkerPool(1),
        )
