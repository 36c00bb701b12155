"""What a fitted autoencoder has learned, and what its methods return."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score

from seqfeat import InputError, LSTMAutoencoder
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from tests.autoencoders import (
    assert_same_weights,
    fit_quietly,
    learned,
    pad,
    ragged_waves,
    small,
    utterances,
    waves,
)

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def fitted():
    return fit_quietly(small(), waves())


@pytest.fixture(scope="module")
def fitted_on_ragged():
    return fit_quietly(small(missing="mask"), ragged_waves())


@pytest.fixture(scope="module")
def fitted_on_table():
    return fit_quietly(small(), waves(n_channels=1)[:, :, 0])


# Learned attributes


def test_fit_sets_exactly_the_documented_attributes(fitted):
    section = LSTMAutoencoder.__doc__.split("Attributes\n")[1].split("See Also\n")[0]
    documented = set(re.findall(r"\b[a-z]\w*_\b(?=[,: ])", section))
    optional = {"feature_names_in_", "classes_", "target_mean_", "target_scale_"}
    optional |= {"anomaly_threshold_", "timestep_threshold_"}
    assert set(learned(fitted)) == documented - optional


def test_weights_are_float32_arrays(fitted):
    assert isinstance(fitted.weights_, dict)
    for name, weight in fitted.weights_.items():
        assert isinstance(name, str)
        assert type(weight) is np.ndarray
        assert weight.dtype == np.float32


def test_weights_and_architecture_rebuild_the_network(fitted):
    network = RecurrentAutoencoder(Architecture(**fitted.architecture_))
    weights = {name: torch.from_numpy(weight) for name, weight in fitted.weights_.items()}
    network.load_state_dict(weights)
    X = waves(seed=1)
    scaled = torch.from_numpy(((X - fitted.mean_) / fitted.scale_).astype(np.float32))
    with torch.no_grad():
        embeddings = network.encode(scaled, torch.full((len(X),), X.shape[1]))
    np.testing.assert_allclose(fitted.transform(X), embeddings.numpy(), rtol=1e-5, atol=1e-6)


def test_dimensions_follow_from_the_parameters():
    assert small(hidden_dim=None, max_iter=0).fit(waves()).hidden_dim_ == 96
    estimator = small(hidden_dim=None, pooling="statistics", max_iter=0).fit(waves())
    assert estimator.hidden_dim_ == 2 * estimator.embedding_dim_ == 8
    estimator = small(hidden_dim=5, patch_len=3, max_iter=0).fit(waves())
    assert (estimator.embedding_dim_, estimator.hidden_dim_, estimator.patch_len_) == (4, 5, 3)


def test_input_sizes_of_series_with_channels(fitted):
    assert fitted.n_channels_in_ == fitted.n_features_in_ == 2
    assert fitted.n_timesteps_in_ == 8
    assert fitted.is_table_ is False
    assert not hasattr(fitted, "feature_names_in_")


def test_input_sizes_of_a_table(fitted_on_table):
    assert fitted_on_table.n_channels_in_ == 1
    assert fitted_on_table.n_features_in_ == fitted_on_table.n_timesteps_in_ == 8
    assert fitted_on_table.is_table_ is True


def test_column_names_of_a_table_are_stored_and_checked():
    frame = pd.DataFrame(waves(n_channels=1)[:, :, 0]).add_prefix("t")
    estimator = small(max_iter=0).fit(frame)
    assert estimator.feature_names_in_.tolist() == frame.columns.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.transform(frame.iloc[:, ::-1])


def test_scale_none_leaves_values_unchanged():
    estimator = small(scale=None, max_iter=0).fit(waves())
    np.testing.assert_array_equal(estimator.mean_, [0, 0])
    np.testing.assert_array_equal(estimator.scale_, [1, 1])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_loss_curves_have_one_value_per_epoch(early_stopping):
    estimator = small(max_iter=4, early_stopping=early_stopping).fit(waves())
    assert estimator.n_iter_ == 4
    assert len(estimator.loss_curve_) == 4
    assert all(isinstance(loss, float) and loss > 0 for loss in estimator.loss_curve_)
    curve = estimator.validation_loss_curve_
    assert (len(curve) == 4) if early_stopping else (curve is None)


def test_best_score_is_the_score_on_the_training_set(fitted):
    assert fitted.best_score_ == pytest.approx(fitted.score(waves()), rel=1e-6)


# transform


def test_transform_returns_one_finite_row_per_series(fitted):
    Z = fitted.transform(waves(7, seed=1))
    assert Z.shape == (7, 4)
    assert np.isfinite(Z).all()
    assert Z.std(axis=0).min() > 0


def test_fit_transform_equals_fit_then_transform(fitted):
    np.testing.assert_array_equal(small().fit_transform(waves()), fitted.transform(waves()))


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, pd.DataFrame])
def test_a_table_equals_series_of_one_channel(fitted_on_table, form):
    X = waves(n_channels=1)
    estimator = small().fit(X)
    expected = fitted_on_table.transform(form(X[:, :, 0]))
    np.testing.assert_array_equal(estimator.transform(X), expected)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", "float32"), ("float64", "float64"), ("int64", "float64"), ("float16", "float32")],
)
def test_float32_input_gives_float32_output_and_everything_wider_float64(fitted, dtype, expected):
    X = waves().astype(dtype)
    assert fitted.transform(X).dtype == expected
    assert fitted.reconstruct(X).dtype == expected
    assert fitted.inverse_transform(fitted.transform(X)).dtype == expected


# inverse_transform and reconstruct


def test_inverse_transform_returns_series_of_any_length(fitted):
    Z = fitted.transform(waves(5))
    X = fitted.inverse_transform(Z)
    assert X.shape == (5, 8, 2)  # as long as the longest training series
    np.testing.assert_allclose(fitted.inverse_transform(Z, n_timesteps=4), X[:, :4], rtol=1e-5)
    longer = fitted.inverse_transform(Z, n_timesteps=20)
    np.testing.assert_allclose(longer[:, :8], X, rtol=1e-5)
    assert longer.shape == (5, 20, 2)
    assert np.isfinite(longer).all()


def test_inverse_transform_rejects_anything_but_embeddings(fitted):
    with pytest.raises(InputError, match="X has 3 columns"):
        fitted.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(InputError, match="n_timesteps=0"):
        fitted.inverse_transform(np.zeros((2, 4)), n_timesteps=0)
    with pytest.raises(ValueError, match="NaN"):
        fitted.inverse_transform(np.full((2, 4), np.nan))


def test_reconstruct_equals_inverse_transform_of_transform(fitted):
    X = waves(seed=1)
    expected = fitted.inverse_transform(fitted.transform(X))
    np.testing.assert_allclose(fitted.reconstruct(X), expected, rtol=1e-6)


def test_reconstructions_of_ragged_series_are_cut_to_length(fitted_on_ragged):
    series = ragged_waves(seed=2)
    reconstructions = fitted_on_ragged.reconstruct(series)
    whole = fitted_on_ragged.inverse_transform(fitted_on_ragged.transform(series))
    assert isinstance(reconstructions, list)
    for values, reconstruction, uncut in zip(series, reconstructions, whole, strict=True):
        assert reconstruction.shape == values.shape
        np.testing.assert_allclose(reconstruction, uncut[: len(values)], rtol=1e-5)


def test_the_reconstruction_of_a_padded_array_is_padded(fitted_on_ragged):
    series = ragged_waves()
    reconstruction = fitted_on_ragged.reconstruct(pad(series))
    np.testing.assert_array_equal(reconstruction, pad(fitted_on_ragged.reconstruct(series)))


def test_reconstruct_fills_missing_values(fitted_on_ragged):
    X = waves()
    X[3, 5] = np.nan
    X[4, 2, 1] = np.nan
    assert np.isfinite(fitted_on_ragged.reconstruct(X)).all()


def test_the_reconstruction_of_a_table_is_a_table(fitted_on_table):
    table = waves(n_channels=1)[:, :, 0]
    reconstruction = fitted_on_table.reconstruct(table)
    assert reconstruction.shape == table.shape
    decoded = fitted_on_table.inverse_transform(fitted_on_table.transform(table))
    np.testing.assert_allclose(decoded, reconstruction, rtol=1e-6)


# score and score_samples


@pytest.mark.parametrize("series", [list(waves(seed=1)), ragged_waves(seed=1)])
def test_score_is_r_squared_over_the_observed_values(fitted_on_ragged, series):
    true, reconstruction = map(np.concatenate, (series, fitted_on_ragged.reconstruct(series)))
    scale = fitted_on_ragged.scale_
    expected = r2_score(true / scale, reconstruction / scale, multioutput="variance_weighted")
    assert fitted_on_ragged.score(series) == pytest.approx(expected, rel=1e-5)


LEARNS_WELL = {"embedding_dim": 8, "max_iter": 60, "learning_rate_init": 0.02}
TRAINED = {"pooling": "statistics", "input_noise": 0.1}


@pytest.mark.parametrize("encoder", [{}, TRAINED])
def test_score_samples_ranks_an_anomaly_lowest(encoder):
    X = waves(40, 12)
    X[17] = np.random.default_rng(0).normal(X.mean(), X.std(), X[17].shape)
    estimator = small(**LEARNS_WELL, **encoder).fit(np.delete(X, 17, axis=0))
    scores = estimator.score_samples(X)
    assert scores.dtype == np.float64
    assert scores.argmin() == 17


def test_training_explains_what_the_untrained_network_does_not():
    X = waves(40, 12)
    untrained = small(**{**LEARNS_WELL, **TRAINED, "max_iter": 0}).fit(X)
    assert untrained.score(X) < 0.2
    assert small(**LEARNS_WELL, **TRAINED).fit(X).score(X) > 0.8


def test_training_explains_some_of_what_a_linear_map_leaves():
    X, others = waves(40, 12), waves(40, 12, seed=1)
    linear = small(**{**LEARNS_WELL, "max_iter": 0}).fit(X)
    trained = small(**LEARNS_WELL).fit(X)
    assert trained.best_iter_ > 0
    np.testing.assert_array_equal(trained.transform(others), linear.transform(others))
    assert linear.score(others) < trained.score(others)
    assert 1 - trained.score(others) < 0.7 * (1 - linear.score(others))


# Output names, output containers and copies


def test_output_features_are_numbered(fitted):
    expected = [f"lstmautoencoder{index}" for index in range(4)]
    assert fitted.get_feature_names_out().tolist() == expected


def test_pandas_output_keeps_the_index_of_a_table():
    frame = pd.DataFrame(waves(n_channels=1)[:, :, 0], index=[f"s{row}" for row in range(12)])
    estimator = small().set_output(transform="pandas")
    output = estimator.fit_transform(frame.add_prefix("t"))
    assert isinstance(output, pd.DataFrame)
    assert output.columns.tolist() == estimator.get_feature_names_out().tolist()
    assert output.index.tolist() == frame.index.tolist()
    plain = estimator.set_output(transform="default").transform(frame.add_prefix("t"))
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(output.to_numpy(), plain)


def test_pandas_output_for_a_list_of_series(fitted_on_ragged):
    estimator = copy.deepcopy(fitted_on_ragged).set_output(transform="pandas")
    output = estimator.transform(ragged_waves())
    assert isinstance(output, pd.DataFrame)
    np.testing.assert_array_equal(output.to_numpy(), fitted_on_ragged.transform(ragged_waves()))


def test_a_clone_is_unfitted_and_fits_the_same(fitted):
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert learned(twin) == {}
    assert_same_weights(twin.fit(waves()), fitted)


def test_fit_forgets_an_earlier_fit(fitted):
    X, y = utterances()
    estimator = small(target_weight=0.5).fit(X, y)
    assert estimator.classes_.tolist() == ["1", "2"]
    estimator.set_params(target_weight=0.0).fit(waves())
    assert set(learned(estimator)) == set(learned(fitted))
    assert_same_weights(estimator, fitted)


# Independence from the batch


@pytest.mark.parametrize(
    ("pooling", "bidirectional"),
    [
        ("reservoir", False),
        ("statistics", True),
        ("last", False),
        ("mean", False),
        ("max", True),
    ],
)
def test_embeddings_do_not_depend_on_the_rest_of_the_batch(pooling, bidirectional):
    series = ragged_waves(100)  # more than fit into one batch
    estimator = small(pooling=pooling, bidirectional=bidirectional, max_iter=1).fit(series)
    together = estimator.transform(series)
    alone = np.concatenate([estimator.transform([values]) for values in series])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_shuffled_series_give_the_same_rows_shuffled(fitted_on_ragged):
    series = ragged_waves(100, seed=3)
    order = np.random.default_rng(0).permutation(100)
    shuffled = [series[row] for row in order]
    for method in (fitted_on_ragged.transform, fitted_on_ragged.score_samples):
        np.testing.assert_allclose(method(shuffled), method(series)[order], rtol=1e-5, atol=1e-6)
    expected = fitted_on_ragged.reconstruct(series)
    for row, values in zip(order, fitted_on_ragged.reconstruct(shuffled), strict=True):
        np.testing.assert_allclose(values, expected[row], rtol=1e-5, atol=1e-6)
