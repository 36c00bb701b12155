import copy
import pickle
import random
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.callback import FitCallback
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score, silhouette_score
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from seqfeat import InputError, LSTMAutoencoder, TrainingError
from seqfeat.datasets import load_japanese_vowels
from seqfeat.nn.network import Architecture, RecurrentAutoencoder

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 4, "max_iter": 3, "random_state": 0, **params})


def waves(n_samples=24, n_timesteps=12, n_channels=2, seed=0):
    """Sines of random phase and period, so that two numbers describe a series."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (n_samples, 1, 1)) + np.arange(n_channels)
    period = rng.uniform(8, 14, (n_samples, 1, 1))
    steps = np.arange(n_timesteps)[:, None]
    return 3.0 + 2.0 * np.sin(2 * np.pi * steps / period + phase)


def ragged_waves(n_samples=24, n_timesteps=12, n_channels=2, seed=0):
    X = waves(n_samples, n_timesteps, n_channels, seed)
    lengths = np.random.default_rng(seed + 1).integers(3, n_timesteps + 1, n_samples)
    lengths[0] = n_timesteps
    return [series[:length] for series, length in zip(X, lengths, strict=True)]


def padded(series):
    X = np.full((len(series), max(map(len, series)), series[0].shape[1]), np.nan)
    for row, values in zip(X, series, strict=True):
        row[: len(values)] = values
    return X


def speakers(n_speakers=2, each=20):
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(each) + 30 * speaker for speaker in range(n_speakers)])
    return X[rows], y[rows]


def learned(estimator):
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


def assert_same_weights(left, right):
    assert left.weights_.keys() == right.weights_.keys()
    for name, weight in left.weights_.items():
        np.testing.assert_array_equal(weight, right.weights_[name], err_msg=name)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(waves())


@pytest.fixture(scope="module")
def fitted_on_ragged():
    return small(missing="mask").fit(ragged_waves())


@pytest.fixture(scope="module")
def fitted_on_table():
    return small().fit(waves(n_channels=1)[:, :, 0])


# scikit-learn's own checks

PLAIN = {"patch_len": 1, "n_time_features": 0, "pooling": "last", "input_noise": 0}


def expected_failures(estimator):
    """Return the checks that a configuration cannot pass by its nature, with the reason."""
    if estimator.warm_start:
        reason = "warm_start goes on training, so a second fit gives other embeddings"
        names = ("pipeline_consistency", "transformer_data_not_an_array", "transformer_general")
        return {f"check_{name}": reason for name in names}
    if estimator.max_iter == 0:
        return {"check_transformer_n_iter": "max_iter=0 trains 0 epochs; the check wants 1"}
    return {}


@parametrize_with_checks(
    [
        LSTMAutoencoder(4, max_iter=2),
        LSTMAutoencoder(4, max_iter=2, missing="mask"),
        LSTMAutoencoder(4, max_iter=2, bidirectional=True, pooling="mean", early_stopping=True),
        LSTMAutoencoder(4, max_iter=2, masking_ratio=0.2, dropout=0.2, input_noise=0.3),
        LSTMAutoencoder(4, max_iter=2, scale=None, **PLAIN),
        LSTMAutoencoder(4, max_iter=2, target_weight=0.5),
        LSTMAutoencoder(4, max_iter=1, warm_start=True, early_stopping=True, target_weight=0.5),
        LSTMAutoencoder(4, max_iter=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_check_estimator_runs_at_least_46_checks_and_none_fails():
    estimator = LSTMAutoencoder(4, max_iter=2)
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    statuses = Counter(result["status"] for result in results)
    assert statuses["passed"] >= 46
    assert statuses.keys() <= {"passed", "skipped"}


# Fitted attributes


def test_weights_are_float32_arrays(fitted):
    assert isinstance(fitted.weights_, dict)
    for name, weight in fitted.weights_.items():
        assert isinstance(name, str)
        assert type(weight) is np.ndarray
        assert weight.dtype == np.float32


def test_weights_rebuild_the_network_that_transform_uses(fitted):
    network = RecurrentAutoencoder(Architecture(**fitted.architecture_))
    weights = {name: torch.from_numpy(weight) for name, weight in fitted.weights_.items()}
    network.load_state_dict(weights)
    X = waves(seed=1)
    scaled = torch.from_numpy(((X - fitted.mean_) / fitted.scale_).astype(np.float32))
    with torch.no_grad():
        embeddings = network.encode(scaled, torch.full((len(X),), X.shape[1]))
    np.testing.assert_allclose(fitted.transform(X), embeddings.numpy(), rtol=1e-5, atol=1e-6)


def test_resolved_dimensions_follow_the_parameters():
    estimator = small(hidden_dim=5, patch_len=3, max_iter=0).fit(waves())
    assert (estimator.embedding_dim_, estimator.hidden_dim_, estimator.patch_len_) == (4, 5, 3)


def test_hidden_dim_none_is_twice_the_embedding(fitted):
    assert fitted.hidden_dim_ == 2 * fitted.embedding_dim_ == 8


def test_patch_len_auto_bounds_the_steps():
    n_steps = []
    for n_timesteps in (12, 400, 1600):
        X = waves(4, n_timesteps, 1)
        n_steps.append(np.ceil(n_timesteps / small(max_iter=0).fit(X).patch_len_))
    assert n_steps[0] == 12
    assert max(n_steps) <= 64


def test_input_sizes_of_series_with_channels(fitted):
    assert fitted.n_channels_in_ == 2
    assert fitted.n_features_in_ == 2
    assert fitted.n_timesteps_in_ == 12
    assert not hasattr(fitted, "feature_names_in_")


def test_input_sizes_of_a_table(fitted_on_table):
    assert fitted_on_table.n_channels_in_ == 1
    assert fitted_on_table.n_features_in_ == 12
    assert fitted_on_table.n_timesteps_in_ == 12


def test_column_names_of_a_table_are_kept_and_checked():
    frame = pd.DataFrame(waves(n_channels=1)[:, :, 0]).add_prefix("t")
    estimator = small(max_iter=0).fit(frame)
    assert estimator.feature_names_in_.tolist() == frame.columns.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.transform(frame.iloc[:, ::-1])


def test_mean_and_scale_are_those_of_the_observed_values(fitted_on_ragged):
    values = np.concatenate(ragged_waves())
    assert fitted_on_ragged.mean_.shape == fitted_on_ragged.scale_.shape == (2,)
    np.testing.assert_allclose(fitted_on_ragged.mean_, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted_on_ragged.scale_, values.std(axis=0), rtol=1e-12)


def test_scale_none_leaves_values_alone():
    estimator = small(scale=None, max_iter=0).fit(waves())
    np.testing.assert_array_equal(estimator.mean_, [0, 0])
    np.testing.assert_array_equal(estimator.scale_, [1, 1])


def test_a_constant_channel_is_scaled_by_one():
    X = waves()
    X[:, :, 1] = 7.0
    estimator = small().fit(X)
    assert estimator.mean_[1] == 7.0
    assert estimator.scale_[1] == 1.0
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_loss_curves_have_a_value_for_every_epoch(early_stopping):
    estimator = small(max_iter=4, early_stopping=early_stopping).fit(waves())
    assert estimator.n_iter_ == 4
    assert len(estimator.loss_curve_) == 4
    assert all(isinstance(loss, float) and loss > 0 for loss in estimator.loss_curve_)
    curve = estimator.validation_loss_curve_
    assert (len(curve) == 4) if early_stopping else (curve is None)


def unsteady(early_stopping):
    """Learns too fast: the best epoch is not the last."""
    params = {"learning_rate_init": 2.0, "batch_size": 8, "max_iter": 12, "random_state": 11}
    return small(early_stopping=early_stopping, **params)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_best_iter_has_the_least_watched_loss(early_stopping):
    estimator = unsteady(early_stopping).fit(waves())
    watched = estimator.validation_loss_curve_ if early_stopping else estimator.loss_curve_
    assert estimator.best_iter_ == 1 + np.argmin(watched)
    assert estimator.best_iter_ < estimator.n_iter_


def test_best_score_is_the_score_on_the_training_set(fitted):
    assert fitted.best_score_ == pytest.approx(fitted.score(waves()), rel=1e-6)


def test_classes_exist_only_with_target_weight():
    X, y = speakers()
    assert small(target_weight=0.5).fit(X, y).classes_.tolist() == ["1", "2"]
    assert not hasattr(small().fit(X, y), "classes_")


def test_fit_sets_exactly_the_documented_attributes(fitted):
    section = LSTMAutoencoder.__doc__.split("Attributes\n")[1].split("See Also\n")[0]
    documented = set(re.findall(r"\b[a-z]\w*_\b(?=[,: ])", section))
    optional = {"feature_names_in_", "classes_"}
    assert set(learned(fitted)) == documented - optional


# transform


def test_transform_gives_one_finite_row_per_series(fitted):
    Z = fitted.transform(waves(7, seed=1))
    assert Z.shape == (7, 4)
    assert np.isfinite(Z).all()
    assert Z.std(axis=0).min() > 0


def test_fit_transform_is_fit_then_transform(fitted):
    np.testing.assert_array_equal(small().fit_transform(waves()), fitted.transform(waves()))


def test_a_table_is_the_same_as_series_of_one_channel(fitted_on_table):
    X = waves(n_channels=1)
    estimator = small().fit(X)
    np.testing.assert_array_equal(estimator.transform(X), fitted_on_table.transform(X[:, :, 0]))


def test_a_frame_and_nested_lists_are_tables(fitted_on_table):
    table = waves(n_channels=1)[:, :, 0]
    expected = fitted_on_table.transform(table)
    np.testing.assert_array_equal(fitted_on_table.transform(table.tolist()), expected)
    np.testing.assert_array_equal(fitted_on_table.transform(pd.DataFrame(table)), expected)


def test_a_list_of_equal_series_is_the_same_as_an_array(fitted):
    X = waves()
    np.testing.assert_array_equal(small().fit(list(X)).transform(list(X)), fitted.transform(X))


def test_lists_object_arrays_and_padded_arrays_are_the_same(fitted_on_ragged):
    series = ragged_waves()
    objects = np.empty(len(series), dtype=object)
    objects[:] = series
    expected = fitted_on_ragged.transform(series)
    for X in (objects, tuple(series), padded(series)):
        np.testing.assert_array_equal(fitted_on_ragged.transform(X), expected)
        assert_same_weights(small(missing="mask").fit(X), fitted_on_ragged)


def test_one_dimensional_series_of_a_list_have_one_channel():
    series = ragged_waves(n_channels=1)
    estimator = small().fit([values[:, 0] for values in series])
    np.testing.assert_array_equal(estimator.transform(series), small().fit_transform(series))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", "float32"), ("float64", "float64"), ("int64", "float64"), ("float16", "float32")],
)
def test_transform_keeps_float32_and_else_returns_float64(fitted, dtype, expected):
    X = waves().astype(dtype)
    assert fitted.transform(X).dtype == expected
    assert fitted.reconstruct(X).dtype == expected
    assert fitted.inverse_transform(fitted.transform(X)).dtype == expected


def test_dtypes_agree(fitted):
    X = waves().round()
    expected = fitted.transform(X)
    for dtype in ("float32", "int64", "int8"):
        np.testing.assert_allclose(fitted.transform(X.astype(dtype)), expected, atol=1e-6)


def test_series_of_another_length_are_welcome(fitted):
    assert fitted.transform(waves(5, 30)).shape == (5, 4)
    assert fitted.reconstruct(waves(5, 30)).shape == (5, 30, 2)


def test_other_channels_are_refused_in_sklearn_words(fitted):
    with pytest.raises(ValueError, match="X has 3 features, but LSTMAutoencoder is expecting 2"):
        fitted.transform(waves(n_channels=3))


# inverse_transform and reconstruct


def test_inverse_transform_returns_series_of_the_longest_training_length(fitted):
    Z = fitted.transform(waves(5))
    assert fitted.inverse_transform(Z).shape == (5, 12, 2)


def test_inverse_transform_of_fewer_steps_is_the_beginning(fitted):
    Z = fitted.transform(waves(5))
    np.testing.assert_allclose(
        fitted.inverse_transform(Z, n_timesteps=4), fitted.inverse_transform(Z)[:, :4], rtol=1e-5
    )


def test_inverse_transform_goes_on_behind_the_training_length(fitted):
    X = fitted.inverse_transform(fitted.transform(waves(5)), n_timesteps=20)
    assert X.shape == (5, 20, 2)
    assert np.isfinite(X).all()


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "score_samples"])
def test_use_before_fit(method):
    with pytest.raises(NotFittedError):
        getattr(small(), method)(waves())


def test_inverse_transform_before_fit():
    with pytest.raises(NotFittedError):
        small().inverse_transform(np.zeros((2, 4)))


def test_inverse_transform_refuses_what_is_no_embedding(fitted):
    with pytest.raises(InputError, match="X has 3 columns"):
        fitted.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(InputError, match="n_timesteps=0"):
        fitted.inverse_transform(np.zeros((2, 4)), n_timesteps=0)
    with pytest.raises(ValueError, match="NaN"):
        fitted.inverse_transform(np.full((2, 4), np.nan))


def test_reconstruct_is_inverse_transform_of_transform(fitted):
    X = waves(seed=1)
    expected = fitted.inverse_transform(fitted.transform(X))
    np.testing.assert_allclose(fitted.reconstruct(X), expected, rtol=1e-6)


def test_reconstruct_of_unequal_series_is_inverse_transform_cut_to_length(fitted_on_ragged):
    series = ragged_waves(seed=2)
    rebuilt = fitted_on_ragged.reconstruct(series)
    whole = fitted_on_ragged.inverse_transform(fitted_on_ragged.transform(series))
    assert isinstance(rebuilt, list)
    for values, own, long in zip(series, rebuilt, whole, strict=True):
        assert own.shape == values.shape
        np.testing.assert_allclose(own, long[: len(values)], rtol=1e-5)


def test_reconstruct_of_a_padded_array_keeps_its_padding(fitted_on_ragged):
    series = ragged_waves()
    rebuilt = fitted_on_ragged.reconstruct(padded(series))
    np.testing.assert_array_equal(rebuilt, padded(fitted_on_ragged.reconstruct(series)))


def test_reconstruct_fills_missing_values(fitted_on_ragged):
    X = waves()
    X[3, 5] = np.nan
    X[4, 2, 1] = np.nan
    assert np.isfinite(fitted_on_ragged.reconstruct(X)).all()


def test_a_table_is_rebuilt_as_a_table(fitted_on_table):
    table = waves(n_channels=1)[:, :, 0]
    rebuilt = fitted_on_table.reconstruct(table)
    assert rebuilt.shape == table.shape
    np.testing.assert_allclose(
        fitted_on_table.inverse_transform(fitted_on_table.transform(table)), rebuilt, rtol=1e-6
    )


# score and score_samples


def scaled_by(estimator, X):
    return (X - estimator.mean_) / estimator.scale_


def test_score_is_sklearns_r2(fitted):
    X = waves(seed=1) * [1.0, 5.0]
    true, rebuilt = (scaled_by(fitted, part).reshape(-1, 2) for part in (X, fitted.reconstruct(X)))
    expected = r2_score(true, rebuilt, multioutput="variance_weighted")
    assert fitted.score(X) == pytest.approx(expected, rel=1e-5)


def test_score_of_unequal_series_counts_every_observed_value_once(fitted_on_ragged):
    series = ragged_waves(seed=1)
    true = scaled_by(fitted_on_ragged, np.concatenate(series))
    rebuilt = scaled_by(fitted_on_ragged, np.concatenate(fitted_on_ragged.reconstruct(series)))
    expected = r2_score(true, rebuilt, multioutput="variance_weighted")
    assert fitted_on_ragged.score(series) == pytest.approx(expected, rel=1e-5)


def test_score_leaves_missing_values_out(fitted_on_ragged):
    X = waves(seed=1)
    X[2:5, 4:6, 0] = np.nan
    error = scaled_by(fitted_on_ragged, X) - scaled_by(
        fitted_on_ragged, fitted_on_ragged.reconstruct(X)
    )
    scaled = scaled_by(fitted_on_ragged, X)
    total = np.nansum((scaled - np.nanmean(scaled, axis=(0, 1))) ** 2)
    assert fitted_on_ragged.score(X) == pytest.approx(1 - np.nansum(error**2) / total, rel=1e-5)


def test_score_samples_is_the_negative_mean_squared_error(fitted):
    X = waves(seed=1)
    error = scaled_by(fitted, X) - scaled_by(fitted, fitted.reconstruct(X))
    scores = fitted.score_samples(X)
    assert scores.shape == (24,)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, -(error**2).mean(axis=(1, 2)), rtol=1e-4)


def test_score_samples_of_unequal_series(fitted_on_ragged):
    series = ragged_waves(seed=1)
    rebuilt = fitted_on_ragged.reconstruct(series)
    expected = [
        -np.mean((scaled_by(fitted_on_ragged, true) - scaled_by(fitted_on_ragged, own)) ** 2)
        for true, own in zip(series, rebuilt, strict=True)
    ]
    np.testing.assert_allclose(fitted_on_ragged.score_samples(series), expected, rtol=1e-4)


def test_a_network_that_predicts_the_mean_scores_zero(fitted):
    estimator = copy.deepcopy(fitted)
    estimator.weights_ = {
        name: np.zeros_like(weight) if name.startswith("decoder.output") else weight
        for name, weight in fitted.weights_.items()
    }
    X = waves()
    np.testing.assert_allclose(estimator.reconstruct(X), np.broadcast_to(X.mean((0, 1)), X.shape))
    assert estimator.score(X) == pytest.approx(0, abs=1e-6)


LEARNS_WELL = {"embedding_dim": 8, "max_iter": 60, "learning_rate_init": 0.02, "input_noise": 0.1}


def test_score_samples_ranks_an_anomaly_lowest():
    X = waves(40)
    X[17] = np.random.default_rng(0).normal(X.mean(), X.std(), X[17].shape)
    estimator = small(**LEARNS_WELL).fit(np.delete(X, 17, axis=0))
    assert estimator.score_samples(X).argmin() == 17


def test_training_explains_what_the_untrained_network_does_not():
    X = waves(40)
    untrained = small(**{**LEARNS_WELL, "max_iter": 0}).fit(X)
    assert untrained.score(X) < 0.2
    assert small(**LEARNS_WELL).fit(X).score(X) > 0.8


# What scikit-learn's users expect


def test_names_of_the_output(fitted):
    expected = [f"lstmautoencoder{index}" for index in range(4)]
    assert fitted.get_feature_names_out().tolist() == expected
    with pytest.raises(NotFittedError):
        small().get_feature_names_out()


def test_set_output_pandas_keeps_the_index():
    frame = pd.DataFrame(waves(n_channels=1)[:, :, 0], index=[f"s{row}" for row in range(24)])
    frame = frame.add_prefix("t")
    estimator = small().set_output(transform="pandas")
    output = estimator.fit_transform(frame)
    assert isinstance(output, pd.DataFrame)
    assert output.columns.tolist() == estimator.get_feature_names_out().tolist()
    assert output.index.tolist() == frame.index.tolist()
    plain = estimator.set_output(transform="default").transform(frame)
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(output.to_numpy(), plain)


def test_set_output_pandas_takes_a_list_of_series(fitted_on_ragged):
    estimator = copy.deepcopy(fitted_on_ragged).set_output(transform="pandas")
    output = estimator.transform(ragged_waves())
    assert isinstance(output, pd.DataFrame)
    np.testing.assert_array_equal(output.to_numpy(), fitted_on_ragged.transform(ragged_waves()))


def test_clone_is_unfitted_and_fits_the_same(fitted):
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert learned(twin) == {}
    assert_same_weights(twin.fit(waves()), fitted)


def test_fit_forgets_an_earlier_fit(fitted):
    estimator = small(target_weight=0.5)
    X, y = speakers()
    estimator.fit(X, y).set_params(target_weight=0.0).fit(waves())
    assert set(learned(estimator)) == set(learned(fitted))
    assert_same_weights(estimator, fitted)


def test_a_failing_fit_leaves_the_earlier_one_whole(fitted):
    estimator = copy.deepcopy(fitted)
    with pytest.raises(InputError):
        estimator.fit(np.full((3, 4, 5), np.nan))
    assert set(learned(estimator)) == set(learned(fitted))
    np.testing.assert_array_equal(estimator.transform(waves()), fitted.transform(waves()))


# warm_start


def test_warm_start_begins_with_the_earlier_weights(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True, max_iter=0)
    assert_same_weights(estimator.fit(waves(seed=5)), fitted)


def test_warm_start_goes_on_where_it_ended():
    estimator = small(**LEARNS_WELL, warm_start=True).fit(waves())
    first = estimator.loss_curve_[0]
    estimator.set_params(max_iter=2).fit(waves())
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 2
    assert estimator.loss_curve_[0] < 0.5 * first


def test_without_warm_start_fit_begins_anew(fitted):
    assert_same_weights(copy.deepcopy(fitted).fit(waves()), fitted)


def test_warm_start_takes_series_of_another_length(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True)
    assert estimator.fit(waves(n_timesteps=16)).n_timesteps_in_ == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [("embedding_dim", 5), ("hidden_dim", 9), ("patch_len", 2), ("bidirectional", True)],
)
def test_warm_start_refuses_another_architecture(fitted, name, value):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True, **{name: value})
    with pytest.raises(InputError, match=f"{name} is .* but now it would be {value}"):
        estimator.fit(waves())
    assert_same_weights(estimator, fitted)


def test_warm_start_refuses_other_channels(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True)
    with pytest.raises(InputError, match="n_channels is 2, but now it would be 3"):
        estimator.fit(waves(n_channels=3))


# partial_fit


def test_a_streams_scaling_is_that_of_the_whole_set():
    series = ragged_waves(30)
    estimator = small()
    for start in range(0, 30, 7):
        estimator.partial_fit(series[start : start + 7])
    values = np.concatenate(series)
    np.testing.assert_allclose(estimator.mean_, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(estimator.scale_, values.std(axis=0), rtol=1e-12)


def test_a_streams_loss_falls():
    estimator = small(learning_rate_init=0.05)
    scores = [estimator.partial_fit(waves(seed=seed)).score(waves()) for seed in range(40)]
    losses = estimator.loss_curve_
    assert len(losses) == estimator.n_iter_ == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert scores[-1] > scores[0] + 0.1


def test_a_stream_remembers_its_longest_series():
    estimator = small().partial_fit(waves(n_timesteps=12))
    assert estimator.partial_fit(waves(n_timesteps=20)).n_timesteps_in_ == 20
    assert estimator.partial_fit(waves(n_timesteps=5)).n_timesteps_in_ == 20


def test_partial_fit_goes_on_from_fit(fitted):
    estimator = copy.deepcopy(fitted).partial_fit(waves())
    assert estimator.n_iter_ == fitted.n_iter_ + 1
    assert estimator.loss_curve_[:-1] == fitted.loss_curve_
    np.testing.assert_allclose(estimator.mean_, fitted.mean_, rtol=1e-12)


def test_a_pickled_stream_goes_on_bit_equal():
    stream = small(random_state=np.random.RandomState(0))
    for seed in range(3):
        stream.partial_fit(waves(seed=seed))
    restored = pickle.loads(pickle.dumps(stream))
    for seed in range(3, 6):
        stream.partial_fit(waves(seed=seed))
        restored.partial_fit(waves(seed=seed))
    assert_same_weights(stream, restored)
    assert stream.loss_curve_ == restored.loss_curve_


def test_a_stream_keeps_the_optimizers_momentum():
    estimator = small().partial_fit(waves())
    forgetful = clone(estimator).set_params(warm_start=True)
    vars(forgetful).update({name: getattr(estimator, name) for name in learned(estimator)})
    estimator.partial_fit(waves(seed=1))
    forgetful.partial_fit(waves(seed=1))
    assert estimator.loss_curve_[0] == forgetful.loss_curve_[0]
    name = "encoder.forward_layers.0.weight_ih_l0"
    assert not np.array_equal(estimator.weights_[name], forgetful.weights_[name])


def test_a_stream_with_labels_needs_all_classes_first():
    X, y = speakers(3)
    estimator = small(target_weight=0.5)
    estimator.partial_fit(X[:10], y[:10], classes=["1", "2", "3"])
    estimator.partial_fit(X[20:30], y[20:30])
    assert estimator.classes_.tolist() == ["1", "2", "3"]
    with pytest.raises(InputError, match=r"y holds \['9'\], which are not among the classes"):
        estimator.partial_fit(X[:2], ["1", "9"])
    with pytest.raises(ValueError, match="requires y to be passed"):
        estimator.partial_fit(X[:2])


def test_a_stream_without_classes_takes_those_of_its_first_part():
    X, y = speakers(3)
    estimator = small(target_weight=0.5).partial_fit(X[:40], y[:40])
    assert estimator.classes_.tolist() == ["1", "2"]
    with pytest.raises(InputError, match=r"\['3'\]"):
        estimator.partial_fit(X[40:], y[40:])


def test_there_is_no_partial_fit_with_early_stopping():
    estimator = small(early_stopping=True)
    assert not hasattr(estimator, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
        estimator.partial_fit(waves())
    assert "does not support early_stopping" in str(caught.value.__cause__)


def test_partial_fit_refuses_other_channels(fitted):
    with pytest.raises(ValueError, match="X has 3 features"):
        copy.deepcopy(fitted).partial_fit(waves(n_channels=3))


# Stopping and the best weights


class WeightsOfEveryEpoch(FitCallback):
    def __init__(self):
        self.weights = []

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.weights.append(fitted_estimator.weights_)

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_best_epochs_weights_are_kept(early_stopping):
    seen = WeightsOfEveryEpoch()
    estimator = unsteady(early_stopping).set_callbacks(seen).fit(waves())
    best, last = seen.weights[estimator.best_iter_ - 1], seen.weights[-1]
    for name, weight in estimator.weights_.items():
        np.testing.assert_array_equal(weight, best[name])
    assert any(not np.array_equal(best[name], last[name]) for name in best)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_stops_without_progress(early_stopping):
    params = {"max_iter": 50, "tol": 1e9, "n_iter_no_change": 2}
    estimator = small(early_stopping=early_stopping, **params).fit(waves())
    assert 2 <= estimator.n_iter_ < 50


def test_training_goes_on_while_there_is_progress():
    params = {"early_stopping": True, "tol": 0.0, "n_iter_no_change": 3, "batch_size": 16}
    estimator = small(max_iter=25, learning_rate_init=0.02, **params).fit(waves(96))
    assert estimator.best_iter_ > 10


def test_validation_never_holds_out_everything():
    estimator = small(early_stopping=True, validation_fraction=0.99).fit(waves(3))
    assert estimator.n_iter_ == 3
    assert small(early_stopping=True).fit(waves(1)).transform(waves(1)).shape == (1, 4)


def test_early_stopping_with_labels_splits_by_class():
    X, y = speakers()
    estimator = small(early_stopping=True, target_weight=0.5).fit(X, y)
    assert len(estimator.validation_loss_curve_) == 3


# target_weight


def test_labels_draw_classes_apart():
    X, y = waves(40), np.arange(40) % 2
    X[y == 1, :, 1] += 1.0
    apart = {}
    for weight in (0.0, 0.9):
        estimator = small(max_iter=80, learning_rate_init=0.05, target_weight=weight)
        apart[weight] = silhouette_score(estimator.fit_transform(X, y), y)
    assert apart[0.9] > apart[0.0] + 0.3


def test_labels_of_any_type():
    X, y = speakers()
    numbers = small(target_weight=0.5).fit(X, y.astype(int))
    assert numbers.classes_.tolist() == [1, 2]
    assert_same_weights(numbers, small(target_weight=0.5).fit(X, list(y)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "requires y to be passed"),
        (lambda y: y[:-1], "inconsistent numbers of samples"),
        (lambda y: np.ones(len(y)), "1 class"),
        (lambda y: np.where(y == "1", np.nan, 1.0), "y contains NaN"),
        (lambda y: np.linspace(0, 1, len(y)), "Unknown label type"),
        (lambda y: np.stack([y, y], axis=1), "1d array"),
    ],
)
def test_bad_labels_are_refused(change, message):
    X, y = speakers()
    estimator = small(target_weight=0.5)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, change(y))
    assert learned(estimator) == {}


def test_labels_are_ignored_without_target_weight(fitted):
    assert_same_weights(small().fit(waves(), np.arange(24) % 3), fitted)


# The untrained encoder, and what is printed


def test_max_iter_0_gives_the_untrained_encoder():
    X = waves()
    estimator = small(max_iter=0).fit(X)
    assert (estimator.n_iter_, estimator.best_iter_, estimator.loss_curve_) == (0, 0, [])
    assert estimator.transform(X).std(axis=0).min() > 0
    # Weights that saw no data cannot depend on it.
    plain, other = (small(max_iter=0, pooling="max").fit(some) for some in (X, np.exp(X)))
    assert_same_weights(plain, other)


def test_an_untrained_encoder_does_not_warn(recwarn):
    small(max_iter=0).fit(waves())
    assert not recwarn.list


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_a_network_that_learned_nothing_warns_with_advice():
    with pytest.warns(ConvergenceWarning, match=r"explains .* of the variance .*Raise max_iter"):
        small(max_iter=1, learning_rate_init=1e-6).fit(waves())


def test_verbose_prints_a_line_per_epoch(capsys):
    estimator = small(verbose=1).fit(waves())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert f"{estimator.loss_curve_[-1]:.5f}" in lines[-1]
    assert "validation" not in lines[-1]


def test_verbose_prints_the_validation_loss(capsys):
    estimator = small(verbose=True, early_stopping=True).fit(waves())
    expected = f"validation loss = {estimator.validation_loss_curve_[-1]:.5f}"
    assert expected in capsys.readouterr().out.splitlines()[-1]


def test_silence_is_the_default(capsys):
    small().fit(waves())
    assert capsys.readouterr() == ("", "")


# Same seed, same result; other batches, same rows


CORRUPTED = {"masking_ratio": 0.2, "dropout": 0.2, "input_noise": 0.3, "early_stopping": True}


@pytest.mark.parametrize("params", [{}, CORRUPTED, {"bidirectional": True, "pooling": "mean"}])
def test_the_same_seed_gives_the_same_bits(params):
    X = ragged_waves()
    first, second = small(**params).fit(X), small(**params).fit(X)
    assert_same_weights(first, second)
    assert first.loss_curve_ == second.loss_curve_
    assert first.transform(X).tobytes() == second.transform(X).tobytes()


def test_another_seed_gives_other_weights(fitted):
    Z = small(random_state=1).fit_transform(waves())
    assert not np.allclose(Z, fitted.transform(waves()))


def test_random_state_none_differs_from_fit_to_fit():
    X = waves()
    estimator = small(random_state=None, max_iter=0)
    assert not np.allclose(estimator.fit_transform(X), estimator.fit_transform(X))


def test_the_number_of_threads_does_not_change_the_weights(fitted):
    torch.set_num_threads(2)
    try:
        estimator = small().fit(waves())
    finally:
        torch.set_num_threads(1)
    assert_same_weights(estimator, fitted)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_batch_mates_do_not_matter(pooling, bidirectional):
    # More series than a batch of inference takes.
    series = ragged_waves(100)
    estimator = small(pooling=pooling, bidirectional=bidirectional, max_iter=1).fit(series)
    together = estimator.transform(series)
    alone = np.concatenate([estimator.transform([values]) for values in series])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_shuffled_rows_give_the_same_rows_shuffled(fitted_on_ragged):
    series = ragged_waves(100, seed=3)
    order = np.random.default_rng(0).permutation(100)
    shuffled = [series[row] for row in order]
    for method in (fitted_on_ragged.transform, fitted_on_ragged.score_samples):
        np.testing.assert_allclose(method(shuffled), method(series)[order], rtol=1e-5, atol=1e-6)
    rebuilt = fitted_on_ragged.reconstruct(series)
    for row, values in zip(order, fitted_on_ragged.reconstruct(shuffled), strict=True):
        np.testing.assert_allclose(values, rebuilt[row], rtol=1e-5, atol=1e-6)


# The caller's world stays as it was


@pytest.fixture
def world_is_untouched():
    before = world()
    yield
    assert world() == before


def world():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (
        (kind, keys.tobytes(), *rest),
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )


class Failure(WeightsOfEveryEpoch):
    def on_fit_task_end(self, estimator, context):
        raise RuntimeError("the callback failed")


@pytest.mark.usefixtures("world_is_untouched")
@pytest.mark.parametrize("random_state", [0, None])
def test_use_leaves_global_states_alone(random_state):
    estimator = small(random_state=random_state, **CORRUPTED).fit(waves())
    estimator.inverse_transform(estimator.transform(waves()))
    estimator.reconstruct(waves())
    estimator.score(waves())
    estimator.set_params(early_stopping=False).partial_fit(waves())


@pytest.mark.usefixtures("world_is_untouched")
def test_a_failing_fit_leaves_global_states_alone():
    with pytest.raises(RuntimeError, match="the callback failed"):
        small().set_callbacks(Failure()).fit(waves())
    with pytest.raises(InputError):
        small().fit(np.full((2, 3, 1), np.inf))
    with pytest.raises(TrainingError):
        small(scale=None, learning_rate_init=1e30, batch_size=5).fit(1e14 * waves())


# Memory-mapped and read-only input


def test_memory_mapped_input_gives_the_same_and_stays_as_it_was(tmp_path, fitted):
    path = tmp_path / "X.npy"
    np.save(path, waves())
    before = path.read_bytes()
    mapped = np.load(path, mmap_mode="r")
    estimator = small().fit(mapped)
    assert_same_weights(estimator, fitted)
    np.testing.assert_array_equal(estimator.transform(mapped), fitted.transform(waves()))
    np.testing.assert_array_equal(estimator.reconstruct(mapped), fitted.reconstruct(waves()))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "view",
    [
        np.asfortranarray,
        lambda X: X.repeat(2, axis=1)[:, ::2],
        lambda X: X[:, ::-1].copy()[:, ::-1],
    ],
)
def test_memory_layout_does_not_matter(fitted, view):
    np.testing.assert_array_equal(fitted.transform(view(waves())), fitted.transform(waves()))


def test_the_input_is_never_written_to():
    X = ragged_waves()
    before = copy.deepcopy(X)
    small(**CORRUPTED).fit(X).reconstruct(X)
    for values, untouched in zip(X, before, strict=True):
        np.testing.assert_array_equal(values, untouched)
